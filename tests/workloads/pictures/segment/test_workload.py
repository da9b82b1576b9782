"""The workload as the verbs see it: prepared, taught, searched, distilled and reported from plain settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import jaccard_score
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import IMAGE, Output
from stillhouse.losses import channel, logits, pearson
from stillhouse.space.blueprint import groups_of
from stillhouse.stages.distill import distill
from stillhouse.stages.evaluate import evaluate
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.workloads.pictures.segment import WORKLOAD
from stillhouse.workloads.pictures.segment.crop import VOID
from stillhouse.workloads.pictures.segment.sample import Batch
from tests.space.cutting import random_architecture
from tests.workloads.pictures.segment.raws import NETWORKS, SCENES, SIZES, builder
from tests.workloads.verbs import Verbs

PARAMS = """
seed: 0
teachers:
  scenes:
    workload: segment
    raw: {raw}
    prepare: {{size: [24, 32]}}
    teach:
      model: {{stem: small, width: 8, blocks: [1, 2, 2], dilated: 1, bins: [1, 2], head: 16}}
      data: {{batch_size: 4}}
      fit: {{epochs: 10, learning_rate: 1.0e-2, schedule: cosine}}
students:
  scenes-student:
    teacher: scenes
    workload: segment
    search:
      method: {method}
      budget: {{unit: macs, share: 0.4}}
      data: {{batch_size: 8}}
      settings: {settings}
    distill:
      losses:
        - {{loss: logits, weight: 1.0, settings: {{temperature: 2.0}}}}
        - {{loss: channel, weight: 0.1, settings: {{pairs: [logits]}}}}
        - {{loss: channel, weight: 0.1, settings: {{pairs: [stage3]}}}}
        - {{loss: pearson, weight: 0.5, settings: {{pairs: [pyramid]}}}}
      data: {{batch_size: 8, crop: [20, 28], scale: [0.8, 1.25]}}
      fit: {{epochs: 3, learning_rate: 1.0e-2, schedule: cosine}}
    evaluate: {{evaluations: [{{evaluation: latency, settings: {{rounds: 2, seconds: 0}}}}]}}
"""
SEARCHES = {
    "random": "{draws: 2, band: 0.1, fit: {epochs: 2, learning_rate: 1.0e-3}}",
    "uniform": "{}",
    "zico": "{candidates: 2, band: 0.1}",
}
DMS = "{fit: {epochs: 2, learning_rate: 1.0e-3}, structure_learning_rate: 5.0e-2}"


def project_in(folder: Path, method: str, settings: str) -> Verbs:
    """A params.yaml with a few scenes."""
    file, raw = folder / f"{method}.yaml", folder / "scenes.json"
    raw.write_text(json.dumps(json.loads(SCENES.read_text()) | {"counts": {"train": 80, "valid": 16, "test": 16}}))
    file.write_text(PARAMS.format(raw=raw, method=method, settings=settings))
    return Verbs(WORKLOAD, file, raw)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    """The folder with prepared scenes and a teacher of them, and what is known of it."""
    project = project_in(tmp_path_factory.mktemp("scenes"), "dms", DMS)
    project.run(prepare, "scenes", "raw", "prepared")
    return project.folder, project.run(teach, "scenes", "prepared", "teacher")


def test_the_five_verbs(taught: tuple[Path, Metrics]) -> None:
    project, facts = project_in(taught[0], "dms", DMS), taught[1]
    assert facts["valid_pixel_accuracy"] > 0.9
    assert facts["valid_miou"] > 0.12  # the ground alone gives 1 / 11 of 0.9
    found = project.run(search, "scenes-student", "prepared", "teacher", "found", part="method")
    assert found["cost"] <= found["budget"]
    learned = project.run(distill, "scenes-student", "prepared", "teacher", "found", "student", part="losses")
    assert learned["macs"] <= 0.4 * facts["macs"]
    report = project.run(evaluate, "scenes-student", "prepared", "teacher", "student", "report", part="evaluations")
    assert read_json(project.folder / "report/report.json")["metric"] == "miou"
    assert report["student_pixel_accuracy"] > 0.85
    assert report["agreement"] > 0.85


@pytest.mark.parametrize("method", SEARCHES)
def test_other_searches_find_a_network_inside_the_budget(taught: tuple[Path, Metrics], method: str) -> None:
    project = project_in(taught[0], method, SEARCHES[method])
    found = project.run(search, "scenes-student", "prepared", "teacher", "found", part="method")
    assert 0.85 * found["budget"] <= found["cost"] <= found["budget"]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_predicts_each_pixel_and_can_be_taught_by_its_features(network: str) -> None:
    """A student and its teacher name the same features, whatever has been cut out; a student may be coarser than its teacher."""
    torch.manual_seed(0)
    build, image = builder(NETWORKS[network]), torch.randn(3, 3, 16, 24)
    teacher = build(None).eval()
    student = build(random_architecture(groups_of(teacher), torch.Generator().manual_seed(2))).train()
    coarse = builder(NETWORKS[network] | {"dilated": 0})(None).train()
    with torch.no_grad():
        wanted = teacher(image)
    for model in (student, coarse):
        output = model(image)
        assert output.prediction.shape == (3, 16, 24, SIZES["classes"])
        assert list(output.features) == list(wanted.features) == ["stage1", "stage2", "stage3", "pyramid", "logits"]
        assert {feature.layout for feature in output.features.values()} == {IMAGE}
        names = ["stage3", "pyramid", "logits"]
        for loss, block in ((pearson, {"pairs": names}), (channel, {"pairs": names}), (logits, {})):
            term = loss.LOSS.make(loss.LOSS.settings.model_validate(block), output, wanted)
            gradients = torch.autograd.grad(term(output, wanted), list(model.parameters()), retain_graph=True, allow_unused=True)
            assert any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def test_the_prediction_is_the_coarse_logits_resized() -> None:
    output = builder(NETWORKS["basic"])(None).eval()(torch.randn(2, 3, 16, 24))
    large = interpolate(output.features["logits"].value, size=(16, 24), mode="bilinear", align_corners=False)
    assert torch.equal(output.prediction, large.permute(0, 2, 3, 1))
    assert output.features["logits"].value.shape == (2, 4, 8, 12)


def test_the_pyramid_is_its_formula() -> None:
    """Means over grids, each brought to a part of the width, resized and joined before a convolution (arXiv 1612.01105)."""
    pyramid = builder(NETWORKS["basic"])(None).double().eval().pyramid
    trunk = torch.randn(2, 16, 6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = [trunk]
    for bins, level in zip((1, 2, 3), pyramid.levels, strict=True):
        means = trunk.unflatten(3, (bins, -1)).unflatten(2, (bins, -1)).mean((3, 5))
        narrow = torch.einsum("oi,bihw->bohw", level.body[2].weight[:, :, 0, 0], means) / (1 + 1e-5) ** 0.5
        assert narrow.shape[1] == 16 // 3
        parts.append(interpolate(narrow.relu(), size=(6, 12), mode="bilinear", align_corners=False))
    joined = torch.nn.functional.conv2d(torch.cat(parts, 1), pyramid.body[1].weight, padding=1) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(pyramid(trunk), joined.relu(), rtol=1e-10, atol=1e-10)


def batch_of(mask: Tensor) -> Batch:
    return Batch(torch.zeros(len(mask), 1, *mask.shape[1:]), mask, torch.ones(2, 1))


def scored(values: list[Tensor], masks: list[Tensor]) -> Metrics:
    return WORKLOAD.score((Output(value, "classes"), batch_of(mask)) for value, mask in zip(values, masks, strict=True))


def drawn(pictures: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, 4, (pictures, 5, 6), generator=rng, dtype=torch.uint8)
    return torch.randn(pictures, 5, 6, 4, generator=rng), mask.masked_fill(torch.rand(mask.shape, generator=rng) < 0.2, VOID)


def test_scores_are_those_of_an_independent_library_over_all_pictures() -> None:
    values, masks = zip(*(drawn(pictures, seed) for seed, pictures in enumerate((2, 1, 3))), strict=True)
    metrics = scored(list(values), list(masks))
    truth, predicted = torch.cat([mask.flatten() for mask in masks]), torch.cat([value.argmax(-1).flatten() for value in values])
    known = truth != VOID
    each = jaccard_score(truth[known], predicted[known], average=None)
    assert [metrics[f"iou_{index}"] for index in range(4)] == pytest.approx(each.tolist(), rel=1e-12)
    assert metrics["miou"] == pytest.approx(float(np.mean(each)), rel=1e-12)
    assert metrics["pixel_accuracy"] == pytest.approx(float((truth == predicted)[known].double().mean()), rel=1e-12)
    flat = torch.cat([value.flatten(0, 2) for value in values]).double().log_softmax(-1)[known]
    assert metrics["cross_entropy"] == pytest.approx(-flat.gather(1, truth[known].long()[:, None]).mean().item(), rel=1e-9)
    assert next(iter(metrics)) == "miou"
    assert WORKLOAD.higher_is_better


def test_a_perfect_prediction_scores_best_and_an_absent_class_does_not_count() -> None:
    _, mask = drawn(3, 0)
    mask[mask == 2] = 3
    right = 100 * one_hot(mask.masked_fill(mask == VOID, 0).long(), 4).float()
    assert scored([right], [mask]) == {
        "miou": 1.0,
        "pixel_accuracy": 1.0,
        "cross_entropy": pytest.approx(0, abs=1e-9),
        "iou_0": 1.0,
        "iou_1": 1.0,
        "iou_3": 1.0,
    }
    assert scored([-right], [mask])["miou"] == 0
    with pytest.raises(UserError, match="wanted pixels that have a class to score an answer - there are none in the whole split"):
        scored([right], [torch.full_like(mask, VOID)])


def test_pixels_without_a_class_are_not_trained_on() -> None:
    value, mask = drawn(3, 1)
    value.requires_grad_()
    loss = WORKLOAD.loss(Output(value, "classes"), batch_of(mask))
    known = mask != VOID
    assert loss.item() == pytest.approx(scored([value.detach()], [mask])["cross_entropy"], rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, value)
    assert not gradient[~known].any()
    assert gradient[known].any(-1).all()
    nothing = WORKLOAD.loss(Output(value, "classes"), batch_of(torch.full_like(mask, VOID)))
    assert nothing.item() == 0
    assert not torch.autograd.grad(nothing, value)[0].any()


def test_wrong_settings_are_refused() -> None:
    for block, words in (({"family": "unet"}, "'pspnet'"), ({"bins": []}, "at least 1 item"), ({"blocks": [2, 2]}, "got 2 of 2")):
        with pytest.raises(ValidationError, match=words):
            builder(block)
