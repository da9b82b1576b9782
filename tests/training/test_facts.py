"""What is known of a teacher over its training data: found once, kept beside it, shown to losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from pydantic import TypeAdapter

from stillhouse.training import facts
from stillhouse.training.score import passes
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from tests.workloads.pictures.classify.raws import DIGITS


def test_class_means_are_those_of_the_known_training_pictures_and_reach_the_losses(tmp_path: Path) -> None:
    prepare(PrepareSettings(), DIGITS, tmp_path / "prepared", torch.Generator().manual_seed(0))
    data = WORKLOAD.load(WORKLOAD.data_settings(train_limit=0.1, unlabelled=60, batch_size=40), tmp_path / "prepared")
    torch.manual_seed(0)
    model = WORKLOAD.model(
        TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "resnet", "stem": "small", "width": 4, "blocks": [1, 1]}),
        data.sizes,
        None,
    )
    found = facts.find(WORKLOAD, model, data.train)
    rows = [
        (output.features["state"].value, output.features["stage1"].value.mean((2, 3)), batch)
        for output, batch in passes(WORKLOAD, model, data.train)
    ]
    label = torch.cat([batch.label for *_, batch in rows])
    for name, place in (("state", 0), ("stage1", 1)):
        value = torch.cat([row[place] for row in rows])
        wanted = torch.stack([value[label == number].mean(0) for number in range(10)])
        torch.testing.assert_close(found[f"class_means.{name}"], wanted)
    facts.write(tmp_path, found)
    told = facts.told(WORKLOAD, tmp_path, torch.device("cpu")).shown(rows[0][2])
    assert torch.equal(told.facts["class_means.state"], found["class_means.state"])
    assert told.label is not None
    assert facts.told(WORKLOAD, tmp_path / "prepared", torch.device("cpu")) is WORKLOAD
    assert facts.find(replace(WORKLOAD, shown=lambda batch: replace(WORKLOAD.shown(batch), label=None)), model, data.valid) == {}
