"""The workload as the verbs see it: every family is built from plain settings, predicts for a batch, and learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import IMAGE, Output
from stillhouse.losses import channel, logits, pearson
from stillhouse.space.blueprint import full, groups_of
from stillhouse.stages.distill import distill
from stillhouse.stages.evaluate import evaluate
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.families.transformer import TOKENS
from stillhouse.workloads.pictures.classify.sample import Batch
from tests.space.cutting import random_architecture
from tests.workloads.pictures.classify.families import FAMILIES, SIZES, builder
from tests.workloads.pictures.classify.raws import DIGITS
from tests.workloads.verbs import Verbs

PARAMS = """
seed: 0
teachers:
  digits:
    workload: classify
    raw: {raw}
    prepare: {{valid_share: 0.1, test_share: 0.2}}
    teach:
      model: {{family: resnet, stem: small, width: 8, blocks: [2, 2]}}
      data: {{batch_size: 64, shift: 1}}
      fit: {{epochs: 4, learning_rate: 1.0e-2, schedule: cosine}}
students:
  digits-student:
    teacher: digits
    workload: classify
    search:
      method: {method}
      budget: {{unit: macs, share: 0.4}}
      data: {{batch_size: 64}}
      settings: {settings}
    distill:
      losses:
        - {{loss: logits, weight: 1.0, settings: {{temperature: 2.0}}}}
        - {{loss: pearson, weight: 0.5, settings: {{pairs: [stage1, stage2]}}}}
        - {{loss: channel, weight: 0.5, settings: {{pairs: [stage2]}}}}
      data: {{batch_size: 64}}
      fit: {{epochs: 3, learning_rate: 1.0e-2, schedule: cosine}}
    evaluate: {{evaluations: [{{evaluation: latency, settings: {{rounds: 2, seconds: 0}}}}]}}
"""
SEARCHES = {
    "random": "{draws: 2, band: 0.1, fit: {epochs: 2, learning_rate: 1.0e-3}}",
    "uniform": "{}",
    "zico": "{candidates: 4, band: 0.1}",
    "gradsign": "{candidates: 4, band: 0.1, batches: 4}",
}
DMS = "{fit: {epochs: 2, learning_rate: 1.0e-3}, structure_learning_rate: 5.0e-2}"


def project_in(folder: Path, method: str, settings: str) -> Verbs:
    """A params.yaml with the digits."""
    file = folder / f"{method}.yaml"
    file.write_text(PARAMS.format(raw=DIGITS, method=method, settings=settings))
    return Verbs(WORKLOAD, file, DIGITS)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    """The folder with prepared digits and a teacher of them, and what is known of it."""
    project = project_in(tmp_path_factory.mktemp("digits"), "dms", DMS)
    project.run(prepare, "digits", "raw", "prepared")
    return project.folder, project.run(teach, "digits", "prepared", "teacher")


def test_the_five_verbs(taught: tuple[Path, Metrics]) -> None:
    project, facts = project_in(taught[0], "dms", DMS), taught[1]
    assert facts["valid_accuracy"] > 0.85
    found = project.run(search, "digits-student", "prepared", "teacher", "found", part="method")
    assert found["cost"] <= found["budget"]
    learned = project.run(distill, "digits-student", "prepared", "teacher", "found", "student", part="losses")
    assert learned["macs"] <= 0.4 * facts["macs"]
    report = project.run(evaluate, "digits-student", "prepared", "teacher", "student", "report", part="evaluations")
    assert read_json(project.folder / "report/report.json")["metric"] == "accuracy"
    assert report["student_accuracy"] > 0.8
    assert report["teacher_accuracy"] > 0.85
    assert report["agreement"] > 0.8
    assert {"teacher_cross_entropy", "student_macs"} < set(report)


@pytest.mark.parametrize("method", SEARCHES)
def test_other_searches_find_a_network_inside_the_budget(taught: tuple[Path, Metrics], method: str) -> None:
    project = project_in(taught[0], method, SEARCHES[method])
    found = project.run(search, "digits-student", "prepared", "teacher", "found", part="method")
    assert 0.9 * found["budget"] <= found["cost"] <= found["budget"]
    assert found["found_accuracy"] > 0.05


@pytest.fixture(scope="module")
def data(taught: tuple[Path, Metrics]) -> Data[Batch]:
    return WORKLOAD.load(WORKLOAD.data_settings(batch_size=64), taught[0] / "prepared", test=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_predicts_and_learns(data: Data[Batch], family: str) -> None:
    torch.manual_seed(0)
    model = builder(FAMILIES[family], dict(data.sizes))(None).train()
    batch = next(data.train.draw(torch.Generator().manual_seed(0)))
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(40):
        output = WORKLOAD.apply(model, batch)
        losses.append(WORKLOAD.loss(output, batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert (output.prediction.shape, output.meaning) == ((len(batch.label), 10), "classes")
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_taught_by_its_features(family: str) -> None:
    """A student and its teacher name the same features, of the same layouts, whatever has been cut out of the student."""
    torch.manual_seed(0)
    build, image = builder(FAMILIES[family], {**SIZES, "height": 16, "width": 16}), torch.randn(4, 3, 16, 16)
    teacher = build(None).eval()
    student = build(random_architecture(groups_of(teacher), torch.Generator().manual_seed(2))).train()
    with torch.no_grad():
        wanted = teacher(image)
    output = student(image)
    layouts = {name: feature.layout for name, feature in output.features.items()}
    assert layouts == {name: feature.layout for name, feature in wanted.features.items()}
    stages = [name for name in layouts if name.startswith("stage")]
    assert stages == [f"stage{number}" for number in range(1, len(stages) + 1)]
    assert {layouts[name] for name in stages} == {TOKENS if family == "transformer" else IMAGE}
    for loss, block in ((pearson, {"pairs": stages}), (channel, {"pairs": stages}), (logits, {})):
        term = loss.LOSS.make(loss.LOSS.settings.model_validate(block), output, wanted)
        value = term(output, wanted)
        gradients = torch.autograd.grad(value, list(student.parameters()), retain_graph=True, allow_unused=True)
        assert any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def scored(values: list[Tensor], batches: list[Batch]) -> Metrics:
    return WORKLOAD.score((Output(value, "classes"), batch) for value, batch in zip(values, batches, strict=True))


def test_a_perfect_prediction_scores_best(data: Data[Batch]) -> None:
    assert data.test is not None
    batches = list(data.test.draw(torch.Generator()))
    right = [100 * torch.nn.functional.one_hot(batch.label, 10).float() for batch in batches]
    assert scored(right, batches) == {"accuracy": 1.0, "cross_entropy": pytest.approx(0, abs=1e-9)}
    noise = [value + 100 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) for value in right]
    worse = scored(noise, batches)
    assert worse["accuracy"] < 0.9
    assert worse["cross_entropy"] > 1
    assert scored([-value for value in right], batches)["accuracy"] == 0
    assert WORKLOAD.higher_is_better


def test_scores_are_means_over_pictures_and_not_over_batches() -> None:
    label, unit = torch.tensor([0, 1, 1]), torch.zeros(2, 1)
    batch = Batch(torch.zeros(3, 1, 1, 1), label, unit)
    logit = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    halves = [Batch(batch.image[rows], label[rows], unit) for rows in (slice(0, 1), slice(1, 3))]
    metrics = scored([logit[:1], logit[1:]], halves)
    by_hand = (torch.log1p(torch.exp(torch.tensor([-2.0, -1.0, 3.0], dtype=torch.float64)))).mean().item()
    assert metrics == {"accuracy": pytest.approx(2 / 3), "cross_entropy": pytest.approx(by_hand, rel=1e-9)}
    assert list(metrics) == ["accuracy", "cross_entropy"]
    assert WORKLOAD.loss(Output(logit, "classes"), batch).item() == pytest.approx(by_hand, rel=1e-6)


def test_a_transformer_names_its_states_even_where_layers_are_missing() -> None:
    build = builder({**FAMILIES["transformer"], "layers": 6})
    groups = groups_of(build(None))
    cut = build(type(full(groups))({**full(groups).kept, "layers": (3,)}))
    states = {name: feature.value for name, feature in cut(torch.randn(2, 3, 8, 8)).features.items()}
    assert list(states) == ["stage1", "stage2", "stage3", "stage4", "state"]
    assert torch.equal(states["stage1"], states["stage2"])
    assert not torch.equal(states["stage2"], states["stage3"])
    assert torch.equal(states["stage3"], states["stage4"])
    assert states["stage4"].shape == (2, 5, 6)


def test_wrong_settings_are_refused() -> None:
    build = TypeAdapter(WORKLOAD.model_settings).validate_python
    with pytest.raises(ValidationError, match="'mobilenet', 'module', 'resnet', 'transformer', 'transformers'"):
        build({"family": "lstm"})
    with pytest.raises(ValidationError, match="width should be a multiple of heads: got 10 and 3"):
        build({"family": "transformer", "width": 10, "heads": 3})
    with pytest.raises(UserError, match="multiples of the patch of 3 pixels - got 8 by 8"):
        builder({"family": "transformer", "patch": 3}, SIZES)(None)
