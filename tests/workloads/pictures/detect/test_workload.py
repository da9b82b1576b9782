"""The workload as the verbs see it: every family is built from plain settings, predicts for a batch, learns, and teaches another one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import IMAGE
from stillhouse.losses import channel, pearson, squared
from stillhouse.runner import params
from stillhouse.space.blueprint import groups_of
from stillhouse.stages.distill import distill
from stillhouse.stages.evaluate import evaluate
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.training import checkpoint
from stillhouse.training.precision import mixed
from stillhouse.workloads.pictures.detect import WORKLOAD
from stillhouse.workloads.pictures.detect.sample import Batch
from tests.space.cutting import random_architecture
from tests.workloads.pictures.detect.families import FAMILIES, SIZES, builder
from tests.workloads.pictures.detect.raws import SCENES
from tests.workloads.verbs import Verbs

PARAMS = """
seed: 0
teachers:
  scenes:
    workload: detect
    raw: {raw}
    prepare: {{}}
    teach:
      model:
        family: fcos
        backbone: {{stem: small, width: 8, blocks: [1, 1, 1]}}
        pyramid: {{width: 16, lowest: 2, highest: 4}}
        head: {{width: 16, layers: 2}}
      data: {{batch_size: 8, zoom: 1.2}}
      fit: {{epochs: 3, learning_rate: 1.0e-2, clip_norm: 1.0}}
students:
  scenes-student:
    teacher: scenes
    workload: detect
    search:
      method: {method}
      budget: {{unit: macs, share: 0.5}}
      data: {{batch_size: 8, train_limit: 40}}
      settings: {settings}
      {model}
    distill:
      losses:
        - {{loss: pearson, weight: 1.0, settings: {{pairs: [p2, p3]}}}}
        - {{loss: channel, weight: 0.1, settings: {{pairs: [{{student: p3, teacher: p2}}]}}}}
        - {{loss: squared, weight: 0.1, settings: {{pairs: [p4]}}}}
      data: {{batch_size: 4, train_limit: 0.5, unlabelled: 4}}
      fit: {{epochs: 1, learning_rate: 1.0e-2, clip_norm: 1.0}}
    evaluate: {{evaluations: [{{evaluation: latency, settings: {{rounds: 1, seconds: 0}}}}]}}
"""
SEARCHES = {
    "random": "{draws: 1, band: 0.2, fit: {epochs: 1, learning_rate: 1.0e-3}}",
    "uniform": "{}",
    "zico": "{candidates: 2, band: 0.2, batches: 2}",
    "gradsign": "{candidates: 2, band: 0.2, batches: 2}",
    "dms": "{fit: {epochs: 1, learning_rate: 1.0e-3}, structure_learning_rate: 5.0e-2}",
}
OTHER = """weights: scratch
      model:
        family: retinanet
        backbone: {stem: small, width: 8, blocks: [1, 1]}
        pyramid: {width: 12, lowest: 1, highest: 4}
        head: {width: 12, layers: 1}
        anchors: {sizes: [4], ratios: [1.5]}"""


def project_in(folder: Path, method: str, model: str = "weights: teacher") -> Verbs:
    """A params.yaml with a few scenes."""
    file, raw = folder / f"{method}.yaml", folder / "scene-boxes.json"
    raw.write_text(json.dumps(json.loads(SCENES.read_text()) | {"counts": {"train": 80, "valid": 16, "test": 16}}))
    file.write_text(PARAMS.format(raw=raw, method=method, settings=SEARCHES[method], model=model))
    return Verbs(WORKLOAD, file, raw)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    """The folder with prepared scenes and a teacher of them, and what is known of it."""
    project = project_in(tmp_path_factory.mktemp("scenes"), "dms")
    project.run(prepare, "scenes", "raw", "prepared")
    return project.folder, project.run(teach, "scenes", "prepared", "teacher")


@pytest.mark.parametrize("method", SEARCHES)
def test_searches_find_a_network_inside_the_budget(taught: tuple[Path, Metrics], method: str) -> None:
    project = project_in(taught[0], method)
    found = project.run(search, "scenes-student", "prepared", "teacher", "found", part="method")
    assert 0.8 * found["budget"] <= found["cost"] <= found["budget"]
    assert found["budget"] == pytest.approx(0.5 * taught[1]["macs"])


def test_a_teacher_teaches_another_family(taught: tuple[Path, Metrics]) -> None:
    """The budget is a share of the teacher's cost, whatever the student is cut out of; levels are paired by stride and by index."""
    project = project_in(taught[0], "uniform", OTHER)
    found = project.run(search, "scenes-student", "prepared", "teacher", "found", part="method")
    assert 0.8 * found["budget"] <= found["cost"] <= found["budget"] == pytest.approx(0.5 * taught[1]["macs"])
    learned = project.run(distill, "scenes-student", "prepared", "teacher", "found", "student", part="losses")
    assert learned["macs"] <= 0.5 * taught[1]["macs"]
    assert checkpoint.read_record(project.folder / "student")["model"]["family"] == "retinanet"
    report = project.run(evaluate, "scenes-student", "prepared", "teacher", "student", "report", part="evaluations")
    assert read_json(project.folder / "report/report.json")["metric"] == "map"
    assert report["teacher_map_50"] >= report["teacher_map"] >= 0
    assert 0 <= report["agreement"] <= 1
    assert {"student_map_50", "student_macs"} < set(report)


def test_another_family_cannot_have_the_weights_of_its_teacher(taught: tuple[Path, Metrics]) -> None:
    project = project_in(taught[0], "uniform", OTHER.replace("scratch", "teacher"))
    with pytest.raises(UserError, match=r"scenes-student.search - weights should be scratch where model names another network") as caught:
        params.check(project.file)
    assert "\n" not in str(caught.value)
    project = project_in(taught[0], "uniform", OTHER.replace("retinanet", "yolo"))
    with pytest.raises(UserError, match=r"students.scenes-student.search.model - .*'yolo'"):
        params.check(project.file)


@pytest.fixture(scope="module")
def data(taught: tuple[Path, Metrics]) -> Data[Batch]:
    return WORKLOAD.load(WORKLOAD.data_settings(batch_size=8), taught[0] / "prepared", test=True)


def tiny(family: str, sizes: dict[str, int]) -> dict[str, Any]:
    """With anchors of the sizes of digits."""
    anchors = {"anchors": {"sizes": [4.0, 6.0], "ratios": [1.5]}} if family.startswith("retinanet") else {}
    return FAMILIES[family] | anchors | {"pyramid": {"width": 8, "lowest": 1, "highest": 3}, "head": {"width": 8, "layers": 2}}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_predicts_and_learns(data: Data[Batch], family: str) -> None:
    torch.manual_seed(0)
    model = builder(tiny(family, SIZES), dict(data.sizes))(None).train()
    batch = next(data.train.draw(torch.Generator().manual_seed(0)))
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(20):
        output = WORKLOAD.apply(model, batch)
        losses.append(WORKLOAD.loss(output, batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert output.prediction.shape[::2] == (8, 10)
    assert losses[-1] < 0.8 * losses[0]
    unused = [name for name, value in model.named_parameters() if value.grad is None]
    assert unused == []


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_of_which_nothing_is_known_are_left_out_of_the_loss(data: Data[Batch], family: str) -> None:
    """They are no pictures without objects: the loss is that of the others alone."""
    torch.manual_seed(0)
    model = builder(tiny(family, SIZES), dict(data.sizes))(None).eval()
    batch = next(data.train.draw(torch.Generator().manual_seed(0)))
    known = torch.arange(len(batch.image)) % 2 == 0
    fewer = replace(batch, image=batch.image[known], boxes=batch.boxes[known], label=batch.label[known])
    fewer = replace(fewer, crowd=batch.crowd[known], known=known[known])
    some, alone = (WORKLOAD.loss(WORKLOAD.apply(model, each), each) for each in (replace(batch, known=known), fewer))
    torch.testing.assert_close(some, alone)
    nothing = replace(batch, known=torch.zeros_like(known))
    assert WORKLOAD.loss(WORKLOAD.apply(model, nothing), nothing).item() == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_reckoned_in_single(data: Data[Batch], family: str) -> None:
    """What comes behind the network: boxes of hundreds of pixels do not fit in eight bits."""
    torch.manual_seed(0)
    model, batch = builder(tiny(family, SIZES), dict(data.sizes))(None).train(), next(data.train.draw(torch.Generator().manual_seed(0)))
    whole = WORKLOAD.loss(WORKLOAD.apply(model, batch), batch)
    with mixed(torch.device("cpu"), "bf16-mixed"):
        half = WORKLOAD.loss(WORKLOAD.apply(model, batch), batch)
    half.backward()
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(whole.item(), rel=0.05)
    assert all(value.grad.isfinite().all() for value in model.parameters() if value.grad is not None)


@pytest.mark.parametrize("teacher", ["fcos", "retinanet"])
@pytest.mark.parametrize("student", ["fcos", "retinanet", "retinanet-giou"])
def test_every_family_can_be_taught_by_every_other(teacher: str, student: str) -> None:
    """All name the levels of their pyramid alike, whatever has been cut out of the student."""
    torch.manual_seed(0)
    image, master = torch.randn(2, 3, 24, 32), builder(FAMILIES[teacher])(None).eval()
    build = builder(FAMILIES[student])
    learner = build(random_architecture(groups_of(build(None)), torch.Generator().manual_seed(2))).train()
    with torch.no_grad():
        wanted = master(image)
    output = learner(image)
    assert list(output.features) == list(wanted.features) == ["p1", "p2", "p3", "p4"]
    assert {feature.layout for feature in output.features.values()} == {IMAGE}
    assert [tuple(feature.value.shape[2:]) for feature in wanted.features.values()] == [(12, 16), (6, 8), (3, 4), (2, 2)]
    by_index = [{"student": f"p{level}", "teacher": f"p{level - 1}"} for level in (2, 3)]
    for loss in (pearson, channel, squared):
        for pairs in (["p1", "p2", "p3"], by_index):
            term = loss.LOSS.make(loss.LOSS.settings.model_validate({"pairs": pairs}), output, wanted)
            value = term(output, wanted)
            gradients = torch.autograd.grad(value, list(learner.parameters()), retain_graph=True, allow_unused=True)
            assert any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def test_wrong_settings_are_refused() -> None:
    build = TypeAdapter(WORKLOAD.model_settings).validate_python
    with pytest.raises(ValidationError, match="'fcos', 'module', 'retinanet'"):
        build({"family": "yolo"})
    with pytest.raises(ValidationError, match="greater than 0"):
        build({"family": "retinanet", "anchors": {"sizes": [0.0]}})
    with pytest.raises(ValidationError, match="Extra inputs"):
        build({"family": "fcos", "anchors": {}})
