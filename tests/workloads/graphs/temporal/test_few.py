"""Training batches where few windows have an answer: who is trained on, and who rides along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.contracts.output import Output
from stillhouse.training.labels import HIDDEN
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.temporal.sample import DataSettings, load
from stillhouse.workloads.graphs.temporal.scoring import loss
from tests.workloads.graphs.temporal.raws import Raw, one_graph, several_graphs


def drawn(raw: Raw, folder: Path, **data: Any) -> list[Batch]:
    """A training pass."""
    block = PrepareSettings.model_validate(raw.settings(window=4, edge_scale="none"))
    prepare(block, raw.write(folder / "raw"), folder / "out", torch.Generator())
    batches = load(DataSettings(**data), folder / "out").train
    found = list(batches.draw(torch.Generator().manual_seed(0)))
    assert len(found) == batches.length
    return found


def test_a_share_of_the_windows_is_trained_on_and_the_others_ride_along(tmp_path: Path) -> None:
    batches = drawn(one_graph(1), tmp_path, train_limit=0.2, batch_size=2, unlabelled=3)
    asked = [[bool(batch.asked[batch.window == window].all()) for window in range(batch.windows)] for batch in batches]
    windows: dict[bool, set[tuple[float, ...]]] = {True: set(), False: set()}
    for batch, known in zip(batches, asked, strict=True):
        for window, answered in enumerate(known):
            windows[answered].add(tuple(batch.history[batch.window == window].flatten().tolist()))
    assert {tuple(sorted(each)) for each in asked} == {(False, False, False, True, True)}
    assert (len(windows[True]), len(windows[False])) == (4, 14)
    assert windows[True].isdisjoint(windows[False])
    for batch in batches:
        guess, other = torch.zeros_like(batch.target), torch.where(batch.asked[:, None], 0.0, 9.0)
        assert loss(Output(guess, "values"), batch) == loss(Output(other, "values"), batch) > 0


def test_of_graphs_with_classes_a_share_of_each_class_is_known(tmp_path: Path) -> None:
    batches = drawn(several_graphs(2, [(3, 4)] * 30), tmp_path, train_limit=0.3, batch_size=3, unlabelled=4)
    assert {int((batch.target == HIDDEN).sum()) for batch in batches} == {4}
    known = torch.cat([batch.target for batch in batches])
    assert set(known[known != HIDDEN].tolist()) == {0, 1, 2}
    batch = batches[0]
    logits = torch.randn(batch.windows, 3, generator=torch.Generator().manual_seed(0))
    seen = batch.target != HIDDEN
    alone = torch.nn.functional.cross_entropy(logits[seen], batch.target[seen])
    assert loss(Output(logits, "classes"), batch) == pytest.approx(float(alone))
