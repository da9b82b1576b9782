"""The verbs as plain functions on the toy workload: no DVC, no Prefect, no MLflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Evaluation, Floor, Loss, Trial
from stillhouse.contracts.parts import Search as SearchPart
from stillhouse.contracts.runtime import Clock
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, full
from stillhouse.stages.compare import compare
from stillhouse.stages.distill import DistillSettings, distill
from stillhouse.stages.evaluate import USUAL, Chosen, EvaluateSettings, evaluate
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import SearchSettings, search
from stillhouse.stages.teach import TeachSettings, teach
from stillhouse.training import checkpoint
from stillhouse.training.budget import Budget
from stillhouse.training.fit import FitSettings
from stillhouse.training.teaching import WeightedLoss
from tests.tiny.parts.workloads.toy import WORKLOAD

DATA = WORKLOAD.data_settings(batch_size=64)
FIT = FitSettings(epochs=8, learning_rate=0.02)


def rng(seed: int = 0) -> torch.Generator:
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def halved(problem, settings, rng):
    """A search that keeps the first half of every width group, after one trial that is far over the budget."""
    everything = full(problem.groups)
    yield Trial(everything, problem.budget * 2, {"accuracy": 1.0})
    halves = {
        group.name: everything.kept[group.name][: group.size // 2] if group.kind == "width" else everything.kept[group.name]
        for group in problem.groups
    }
    architecture = Architecture(halves)
    yield Trial(architecture, 0.5 * problem.budget, problem.validate(problem.static(architecture)))


HALVED = SearchPart(Settings, halved)


class Distance(nn.Module):
    """The mean squared difference of predictions, through an adapter that must not reach the student's checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter = nn.Parameter(torch.ones(()))

    def forward(self, student: Output, teacher: Output) -> torch.Tensor:
        assert not teacher.prediction.requires_grad
        return (self.adapter * student.prediction - teacher.prediction).square().mean()


DISTANCE = Loss(Settings, lambda settings, student, teacher: Distance())


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """A folder with prepared data and a teacher."""
    root = tmp_path_factory.mktemp("verbs")
    (root / "raw.json").write_text(json.dumps({"rows": 400, "rings": 3}))
    prepare(WORKLOAD.prepare_settings(), WORKLOAD, raw=root / "raw.json", prepared=root / "prepared", rng=rng(), log=lambda _: None)
    settings = TeachSettings(model=WORKLOAD.model_settings(), data=DATA, fit=FIT)
    records: list = []
    metrics = teach(settings, WORKLOAD, prepared=root / "prepared", teacher=root / "teacher", rng=rng(), log=records.append)
    assert len(records) == 8
    assert metrics["valid_accuracy"] > 0.8
    return root


def find(
    root: Path,
    found: Path,
    weights: str = "teacher",
    workload=WORKLOAD,
    method: SearchPart = HALVED,
    unit: str = "macs",
    share: float = 0.7,
) -> dict[str, float]:
    settings = SearchSettings(method="halved", settings=Settings(), budget=Budget(unit=unit, share=share), weights=weights, data=DATA)
    paths = {"prepared": root / "prepared", "teacher": root / "teacher", "found": found}
    return search(settings, workload, method, **paths, rng=rng(), log=lambda _: None)


def shrink(root: Path, to: Path, losses: tuple[WeightedLoss, ...] = (), **changes) -> dict[str, float]:
    settings = DistillSettings(**{"losses": losses, "data": DATA, "fit": FIT} | changes)
    paths = {"prepared": root / "prepared", "teacher": root / "teacher", "found": to / "found", "student": to / "student"}
    return distill(settings, WORKLOAD, [DISTANCE] * len(losses), **paths, rng=rng(), log=lambda _: None)


def judge(workload, report: Path, paths: dict[str, Path], names=USUAL, **further) -> dict[str, float]:
    parts = {name: registry.evaluation(name) for name in names} | further
    chosen = [Chosen(evaluation=name, settings=part.settings()) for name, part in parts.items()]
    settings = EvaluateSettings(evaluations=chosen, data=DATA)
    return evaluate(settings, workload, list(parts.values()), **paths, report=report, rng=rng(), log=lambda _: None)


def test_the_curve_stands_beside_the_teacher(taught):
    lines = (taught / "teacher" / "curve.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,valid_accuracy")
    assert len(lines) == 9


def test_a_search_keeps_the_best_trial_inside_the_budget(taught, tmp_path):
    metrics = find(taught, tmp_path / "found")
    assert metrics["trials"] == 2
    assert metrics["cost"] <= metrics["budget"]
    record = checkpoint.read_record(tmp_path / "found")
    assert all(len(kept) == 8 for name, kept in record["architecture"].items() if "hidden" in name or "trunk" in name)


def test_a_network_that_predicts_other_classes_is_told_before_an_epoch(taught, tmp_path):
    wrong = replace(WORKLOAD, model=lambda settings, sizes, architecture: WORKLOAD.model(settings, {**sizes, "classes": 5}, architecture))
    settings, records = TeachSettings(model=WORKLOAD.model_settings(), data=DATA, fit=FIT), []
    with pytest.raises(UserError, match=r"network\.py, Network - wanted logits of 3 classes along the last axis - got classes of shape"):
        teach(settings, wrong, prepared=taught / "prepared", teacher=tmp_path / "teacher", rng=rng(), log=records.append)
    assert not records


def test_a_network_without_a_gate_is_not_searched(taught, tmp_path):
    def ungated(settings, sizes, architecture):
        network = WORKLOAD.model(settings, sizes, architecture)
        network.gate = nn.Identity()
        return network

    with pytest.raises(
        UserError, match=r"network\.py, Network - wanted a network that answers under its masks .* for trunk: has each layer"
    ):
        find(taught, tmp_path / "found", workload=replace(WORKLOAD, model=ungated))


def test_a_search_with_nothing_inside_the_budget_says_so(taught, tmp_path):
    over = SearchPart(Settings, lambda problem, settings, rng: iter([Trial(full(problem.groups), problem.budget * 3, {"accuracy": 1.0})]))
    settings = SearchSettings(method="over", settings=Settings(), budget=Budget(unit="parameters", share=0.5), data=DATA)
    paths = {"prepared": taught / "prepared", "teacher": taught / "teacher", "found": tmp_path / "found"}
    with pytest.raises(ValueError, match=r"no trial is inside the budget of .*; the closest costs"):
        search(settings, WORKLOAD, over, **paths, rng=rng(), log=lambda _: None)


def test_a_budget_of_memory_is_measured_of_both_models(taught, tmp_path):
    find(taught, tmp_path / "found", unit="memory")
    shrink(taught, tmp_path)
    paths = {"prepared": taught / "prepared", "teacher": taught / "teacher", "student": tmp_path / "student"}
    report = judge(WORKLOAD, tmp_path / "reports" / "small", paths)
    found = json.loads((tmp_path / "found" / "search.json").read_text())
    assert found["unit"] == "memory"
    assert 4 * report["student_parameters"] < report["student_memory"] < report["teacher_memory"]


def test_a_latency_is_predicted_measured_and_measured_again(taught, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def clock(task, example, *, runtime, threads):
        return Clock(lambda model: 1.0 + sum(value.numel() for value in model.parameters()) / 100, {"runtime": runtime, "threads": threads})

    uniform = registry.search("uniform")
    budget = Budget(unit="latency", share=0.5, runtime="onnx")
    settings = SearchSettings(method="uniform", settings=uniform.settings(), budget=budget, data=DATA)
    paths = {"prepared": taught / "prepared", "teacher": taught / "teacher"}
    facts = search(settings, WORKLOAD, uniform, clock, **paths, found=tmp_path / "found", rng=rng(), log=lambda _: None)
    assert len(list((tmp_path / ".work/latency").iterdir())) == 1
    found = json.loads((tmp_path / "found" / "search.json").read_text())
    assert (found["unit"], found["latency"]["runtime"], found["latency"]["batch"]) == ("latency", "onnx", None)
    assert found["latency"]["budget_ms"] == pytest.approx(found["latency"]["teacher_ms"] / 2)
    assert found["latency"]["coefficients_ms"]
    shrink(taught, tmp_path)
    wanted = EvaluateSettings(
        evaluations=[Chosen(evaluation=name, settings=registry.evaluation(name).settings()) for name in USUAL], data=DATA
    )
    parts = [registry.evaluation(name) for name in USUAL]
    own = {"student": tmp_path / "student", "report": tmp_path / "reports" / "small"}
    report = evaluate(wanted, WORKLOAD, parts, clock, **paths, **own, rng=rng(), log=lambda _: None)
    assert report["student_latency"] == facts["latency_measured_ms"] < report["teacher_latency"] == found["latency"]["teacher_ms"]
    compare({"small": "rings"}, reports=tmp_path / "reports", comparison=tmp_path / "comparison", log=lambda _: None)
    row = json.loads((tmp_path / "comparison" / "table.json").read_text())[1]
    assert row["latency_budget"]["predicted_ms"] == facts["latency_predicted_ms"]
    assert (row["budget"]["unit"], row["metrics"]["latency"]) == ("latency", report["student_latency"])


def test_a_student_is_distilled_evaluated_and_compared(taught, tmp_path):
    find(taught, tmp_path / "found")
    metrics = shrink(taught, tmp_path, (WeightedLoss(loss="distance", weight=0.5, settings=Settings()),), warmup_epochs=1)
    assert metrics["macs"] < 0.7 * json.loads((tmp_path / "found" / "search.json").read_text())["budget"] / 0.7
    assert not any("adapter" in name for name in checkpoint.read_state(tmp_path / "student"))
    paths = {"prepared": taught / "prepared", "teacher": taught / "teacher", "student": tmp_path / "student"}
    judged = replace(WORKLOAD, floor=Floor("accuracy", 1.0, "draw lots"))
    report = judge(judged, tmp_path / "reports" / "small", paths)
    assert 0 <= report["agreement"] <= 1
    assert report["student_macs"] < report["teacher_macs"]
    facts = compare(
        {"small": "rings", "missing": "rings"},
        reports=tmp_path / "reports",
        comparison=tmp_path / "comparison",
        log=lambda _: None,
    )
    rows = json.loads((tmp_path / "comparison" / "table.json").read_text())
    assert [(row["name"], row["kind"]) for row in rows] == [("rings", "teacher"), ("small", "student")]
    assert rows[1]["losses"] == "distance"
    said = [[f"the {who}'s accuracy is {report[f'{who}_accuracy']:.4g} on the test split"] for who in ("teacher", "student")]
    assert [[sentence.split(",")[0] for sentence in row["remarks"]] for row in rows] == said
    assert rows[1]["test_examples"] == report["test_examples"] > 0
    assert (rows[1]["higher_is_better"], rows[1]["budget"]["unit"]) == (True, "macs")
    assert rows[1]["quality"] == report["student_accuracy"]
    assert facts == {"small.quality": rows[1]["quality"], "small.share": rows[1]["macs_share"]}
    head, _, _, line = (tmp_path / "comparison" / "table.md").read_text().splitlines()
    assert head.startswith("| name | quality | kept | share | latency, ms |")
    assert line.startswith(f"| small | {report['student_accuracy']:.4f} |")
    assert line.endswith("| halved | distance |")
    assert (tmp_path / "comparison" / "picture.svg").read_text().startswith("<?xml")


@pytest.fixture(scope="module")
def shrunk(taught, tmp_path_factory) -> dict[str, Path]:
    """The paths of prepared data, a teacher and a student."""
    folder = tmp_path_factory.mktemp("shrunk")
    find(taught, folder / "found")
    shrink(taught, folder)
    return {"prepared": taught / "prepared", "teacher": taught / "teacher", "student": folder / "student"}


def test_an_evaluation_of_ones_own_stands_in_the_report(shrunk, tmp_path):
    own = Evaluation(Settings, lambda pair, settings, rng: {"student_size": 2.0, "gap": 0.5})
    metrics = judge(WORKLOAD, tmp_path, shrunk, ("cost", "quality"), own=own)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["student"]["size"], report["gap"], report["metric"]) == (2.0, 0.5, "accuracy")
    assert (metrics["student_size"], metrics["gap"]) == (2.0, 0.5)
    assert "size" not in report["teacher"]


@pytest.mark.parametrize("change", [lambda model: next(model.parameters()).data.neg_(), lambda model: model.train()])
def test_an_evaluation_that_changes_what_others_measure_is_refused(shrunk, tmp_path, change):
    def run(pair, settings, rng):
        change(pair.student)
        return {"own": 1.0}

    with pytest.raises(UserError, match=r"the evaluation 'own' - wanted models that are left as they are, .* it changes student\."):
        judge(WORKLOAD, tmp_path, shrunk, ("quality",), own=Evaluation(Settings, run))


@pytest.mark.parametrize("given", [None, {"x": float("nan")}, {"x": "good"}, {"x": torch.ones(2)}, {1: 1.0}])
def test_an_evaluation_that_gives_no_numbers_is_told(shrunk, tmp_path, given):
    with pytest.raises(UserError, match=r"the evaluation 'own'.* - wanted (numbers|names|a number|a finite number)"):
        judge(WORKLOAD, tmp_path, shrunk, ("quality",), own=Evaluation(Settings, lambda pair, settings, rng: given))


@pytest.mark.parametrize("name", ["student_accuracy", "metric"])
def test_two_evaluations_with_one_metric_are_refused(shrunk, tmp_path, name):
    own = Evaluation(Settings, lambda pair, settings, rng: {name: 1.0})
    with pytest.raises(UserError, match=f"the evaluation 'own' gives {name}, a name that is taken"):
        judge(WORKLOAD, tmp_path, shrunk, ("quality",), own=own)


def test_the_metric_to_beat_is_the_workloads_first_and_not_the_alphabets(taught, tmp_path):
    def reordered(outputs):
        accuracy = WORKLOAD.score(outputs)
        return {"z_accuracy": accuracy["accuracy"], "a_cross_entropy": accuracy["cross_entropy"]}

    workload = replace(WORKLOAD, score=reordered)
    find(taught, tmp_path / "found")
    shrink(taught, tmp_path)
    paths = {"prepared": taught / "prepared", "teacher": taught / "teacher", "student": tmp_path / "student"}
    judge(workload, tmp_path / "reports" / "small", paths)
    compare({"small": "rings"}, reports=tmp_path / "reports", comparison=tmp_path / "comparison", log=lambda _: None)
    rows = json.loads((tmp_path / "comparison" / "table.json").read_text())
    assert {row["metric"] for row in rows} == {"z_accuracy"}
    assert all(0 <= row["quality"] <= 1 for row in rows)


def test_what_a_student_keeps_is_above_one_where_it_is_better(tmp_path):
    for name, higher in (("up", True), ("down", False)):
        costs = {"parameters": 1.0, "macs": 1.0, "latency_ms": 1.0, "latency_spread_ms": 0.0}
        report = {"metric": "m", "higher_is_better": higher, "search": {"method": "s", "unit": "macs", "share": 0.5}}
        report |= {"losses": [], "agreement": 1.0}
        write_json(tmp_path / "in" / name / "report.json", report | {"teacher": {"m": 2.0, **costs}, "student": {"m": 4.0, **costs}})
    compare({"up": "a", "down": "b"}, reports=tmp_path / "in", comparison=tmp_path / "out", log=lambda _: None)
    kept = {row["name"]: row["kept"] for row in json.loads((tmp_path / "out" / "table.json").read_text())}
    assert kept == {"a": 1.0, "up": 2.0, "b": 1.0, "down": 0.5}


def test_the_report_of_an_error_says_that_lower_is_better(shrunk, tmp_path):
    judge(replace(WORKLOAD, higher_is_better=False), tmp_path / "down", shrunk, ("cost", "quality"))
    judge(WORKLOAD, tmp_path / "up", shrunk, ("cost", "quality"))
    said = [json.loads((tmp_path / name / "report.json").read_text())["higher_is_better"] for name in ("down", "up")]
    assert said == [False, True]


def test_of_an_error_a_search_keeps_the_least(taught, tmp_path):
    errors = iter([3.0, 1.0, 2.0])

    def thrice(problem, settings, rng):
        for _ in range(3):
            yield Trial(full(problem.groups), 0.0, problem.validate(problem.supernet()))

    workload = replace(WORKLOAD, score=lambda outputs: {"error": next(errors)}, higher_is_better=False)
    assert find(taught, tmp_path / "found", workload=workload, method=SearchPart(Settings, thrice), share=1.0)["found_error"] == 1.0


def test_a_search_begins_with_the_weights_that_it_is_told(taught, tmp_path):
    def whole(problem, settings, rng):
        yield Trial(full(problem.groups), 0.0, {"accuracy": 1.0}, problem.supernet().state_dict())

    for weights in ("teacher", "scratch"):
        find(taught, tmp_path / weights, weights, method=SearchPart(Settings, whole), share=1.0)
    own, fresh = (checkpoint.read_state(tmp_path / weights) for weights in ("teacher", "scratch"))
    name, weight = next((name, value) for name, value in checkpoint.read_state(taught / "teacher").items() if value.dim() > 1)
    assert torch.equal(own[name], weight)
    assert not torch.allclose(fresh[name], weight)


def test_a_student_starts_from_the_weights_that_it_is_told(taught, tmp_path):
    """At a rate that moves nothing, what it starts from is what it ends with."""
    find(taught, tmp_path / "found")
    states = {}
    for start in ("inherited", "fresh"):
        shrink(taught, tmp_path, start=start, fit=FIT.model_copy(update={"learning_rate": 1e-12, "epochs": 1}))
        states[start] = checkpoint.read_state(tmp_path / "student")
    name, weight = next((name, value) for name, value in checkpoint.read_state(tmp_path / "found").items() if value.dim() > 1)
    torch.testing.assert_close(states["inherited"][name], weight)
    assert not torch.allclose(states["fresh"][name], weight)


def test_students_of_any_size_are_cut_out_of_a_nested_teacher_without_training(taught, tmp_path):
    """Those of a teacher that was trained plainly are worse, and the teacher itself is none the worse for it."""
    own = tmp_path / "nested"
    own.mkdir()
    (own / "prepared").symlink_to(taught / "prepared")
    fit = FIT.model_copy(update={"epochs": 16})
    settings = TeachSettings(model=WORKLOAD.model_settings(), data=DATA, fit=fit, nested={"drawn": 1})
    metrics = teach(settings, WORKLOAD, prepared=own / "prepared", teacher=own / "teacher", rng=rng(), log=lambda _: None)
    assert metrics["valid_accuracy"] > 0.8
    assert set(checkpoint.read_state(own / "teacher")) == set(checkpoint.read_state(taught / "teacher"))
    for share in (0.2, 0.4):
        ours, plain = (cut_as_it_is(root, tmp_path / f"{root.name}-{share}", share) for root in (own, taught))
        assert ours["valid_accuracy"] > max(0.7, plain["valid_accuracy"] + 0.1)


def cut_as_it_is(root: Path, to: Path, share: float) -> dict[str, float]:
    """A student that is not trained: its epoch is 0, and its weights are those that were cut out."""
    prefix = registry.search("prefix")
    settings = SearchSettings(method="prefix", settings=prefix.settings(candidates=4), budget=Budget(unit="macs", share=share), data=DATA)
    paths = {"prepared": root / "prepared", "teacher": root / "teacher"}
    search(settings, WORKLOAD, prefix, **paths, found=to / "found", rng=rng(), log=lambda _: None)
    metrics = shrink(root, to, fit=None)
    assert (to / "student" / "curve.csv").read_text().splitlines()[1].startswith("0,")
    torch.testing.assert_close(checkpoint.read_state(to / "student"), checkpoint.read_state(to / "found"), rtol=0, atol=0)
    assert metrics["macs"] > 0
    return metrics


def test_a_student_that_nothing_trains_has_weights_and_no_losses(taught, tmp_path):
    find(taught, tmp_path / "found")  # by a search that hands on no weights
    with pytest.raises(UserError, match=r"^distill\.fit - should say how the student is trained - the search hands on no weights"):
        shrink(taught, tmp_path, fit=None)
    for changes in ({"start": "fresh"}, {"losses": (WeightedLoss(loss="distance", settings=Settings()),)}):
        with pytest.raises(ValueError, match="losses should be left out, and start be inherited, where nothing is trained"):
            shrink(taught, tmp_path, fit=None, **changes)


def test_without_losses_the_teacher_is_not_read(taught, tmp_path):
    find(taught, tmp_path / "found")
    settings = DistillSettings(data=DATA, fit=FIT)
    paths = {"prepared": taught / "prepared", "teacher": tmp_path / "absent", "found": tmp_path / "found", "student": tmp_path / "student"}
    metrics = distill(settings, WORKLOAD, [], **paths, rng=rng(), log=lambda _: None)
    assert metrics["valid_accuracy"] > 0.5


def test_the_same_seed_gives_the_same_student(taught, tmp_path):
    for name in ("one", "two"):
        find(taught, tmp_path / name / "found")
        shrink(taught, tmp_path / name, start="fresh")
    one, two = ((tmp_path / name / "student" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_the_warm_up_raises_the_weight_of_the_teaching(taught, tmp_path):
    from stillhouse.training.teaching import Teaching

    output = Output(torch.zeros(2, 3), "classes")
    other = Output(torch.ones(2, 3), "classes")
    teaching = Teaching([(2.0, Distance())], warmup_steps=4)
    assert [teaching(output, other).item() for _ in range(6)] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.0])
