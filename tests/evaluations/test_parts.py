"""The evaluations of this library, each on what it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from stillhouse import registry
from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Floor, Pair
from stillhouse.space.blueprint import Blueprint, fixed
from tests.tiny.parts.workloads.toy import WORKLOAD

CPU = torch.device("cpu")
ROWS = torch.eye(4)


class Fixed(nn.Module):
    """Predicts given classes, one per row; in training mode with class 0 throughout."""

    def __init__(self, *classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.functional.one_hot(torch.tensor(classes), 4).float(), requires_grad=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(self.weight) if self.training else self.weight


def pair(teacher: nn.Module, student: nn.Module) -> Pair:
    """The right class of row i is i."""
    workload = replace(
        WORKLOAD,
        apply=lambda model, rows: Output(model(rows), "classes"),
        score=lambda outputs: {"accuracy": float(torch.cat([(o.prediction * rows).sum(-1) for o, rows in outputs]).mean())},
    )
    batches = Batches(lambda rng: iter([ROWS]), 1)
    return Pair(workload, teacher, student, batches, ROWS, CPU, batches, batches)


def run(name: str, of: Pair, **settings: float) -> dict[str, float]:
    part = registry.evaluation(name)
    return part.run(of, part.settings(**settings), torch.Generator())


def test_quality_is_that_of_each_model_in_evaluation_mode():
    of = pair(Fixed(0, 1, 2, 0).train(), Fixed(0, 1, 0, 0).train())
    assert run("quality", of) == {"teacher_accuracy": 0.75, "student_accuracy": 0.5, "test_examples": 4}


@pytest.mark.parametrize(("higher", "told"), [(True, "student"), (False, "teacher")])
def test_a_model_that_is_no_better_than_none_says_so(higher: bool, told: str):
    of = pair(Fixed(0, 1, 2, 0), Fixed(0, 1, 0, 0))
    floor = Floor("accuracy", 0.5 if higher else 0.75, "saying nothing")
    of = replace(of, workload=replace(of.workload, floor=floor, higher_is_better=higher))
    run("quality", of)
    (remark,) = of.remarks.items()
    value = 0.5 if higher else 0.75
    said = f"the {told}'s accuracy is {value} on the test split, no better than {value}: saying nothing does as well"
    assert remark == (f"{told}_accuracy", said)


def test_agreement_is_between_the_two_models():
    assert run("agreement", pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0))) == {"agreement": 0.75}


def test_a_workload_may_compare_in_its_own_way():
    of = pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0))
    of = replace(of, workload=replace(of.workload, agreement=lambda first, second: torch.full((4,), 0.125)))
    assert run("agreement", of) == {"agreement": 0.125}


@pytest.mark.parametrize(("last", "found"), [(0.25, {"agreement": 0.25}), (torch.nan, {"agreement": 0.0})])
def test_correlations_that_do_not_exist_are_left_out(last: float, found: dict[str, float]):
    of = pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0))
    of = replace(of, workload=replace(of.workload, agreement=lambda first, second: torch.tensor([torch.nan, last])))
    assert run("agreement", of) == found
    assert ("agreement" in of.remarks) == (found["agreement"] == 0)


def test_latency_says_how_it_was_measured():
    found = run("latency", pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0)), rounds=3, spread=1e9, seconds=0)
    assert (found["latency_noisy"], found["latency_rounds"], found["latency_batch_size"]) == (0, 3, 4)
    assert found["latency_threads"] == torch.get_num_threads()
    assert found["student_latency_ms"] > 0


def test_latency_says_that_the_machine_was_noisy():
    assert run("latency", pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0)), rounds=3, spread=1e-9, seconds=0)["latency_noisy"] == 1


def test_latency_is_that_of_models_in_evaluation_mode():
    of, modes = pair(Fixed(0, 1, 2, 0).train(), Fixed(0, 3, 2, 0).train()), []

    def apply(model, rows):
        modes.append(model.training)
        return Output(model(rows), "classes")

    run("latency", replace(of, workload=replace(of.workload, apply=apply)), rounds=1, spread=1e9, seconds=0)
    assert modes
    assert not any(modes)


def test_an_unknown_evaluation_is_told():
    known = "agreement, cascade, cost, full_ranking, generation, latency, quality, runtimes, stress"
    with pytest.raises(ValueError, match=f"unknown evaluation 'latencies'; there are {known}"):
        registry.evaluation("latencies")


class Known(nn.Module):
    """Gives row i of the identity the i-th row of logits."""

    def __init__(self, *logits: list[float]) -> None:
        super().__init__()
        self.linear = Blueprint(None).linear(fixed(4), fixed(len(logits[0])), bias=False)
        self.linear.weight.data = torch.tensor(logits).T.contiguous()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.linear(rows)


SURE_TWICE = ([9.0, 0, 0, 0], [0.0, 9, 0, 0], [0.0, 0, 0, 2], [1.0, 0, 0, 0])
"""Right and sure, twice; wrong and less sure; wrong and unsure."""
RIGHT = ([5.0, 0, 0, 0], [0.0, 5, 0, 0], [0.0, 0, 5, 0], [0.0, 0, 0, 5])


def answered(of: Pair) -> Pair:
    score = of.workload.score
    return replace(of, workload=replace(of.workload, score=lambda outputs: score((_chosen(o), rows) for o, rows in outputs)))


def _chosen(output: Output) -> Output:
    return replace(output, prediction=nn.functional.one_hot(output.prediction.argmax(-1), 4).float())


def test_the_teacher_is_asked_where_the_student_is_least_sure():
    of = answered(pair(Known(*RIGHT), Known(*SURE_TWICE)))
    found = run("cascade", of, shares=(0.25, 0.5))
    assert [found[f"cascade_accuracy_{share}"] for share in (25, 50)] == [0.75, 1]
    assert [found[f"cascade_asked_{share}"] for share in (25, 50)] == [0.25, 0.5]
    assert [found[f"cascade_macs_{share}"] for share in (25, 50)] == [64 * 1.25, 64 * 1.5]
    assert [found[f"cascade_apart_{share}"] for share in (25, 50)] == [pytest.approx(1 / 3), 0]


def test_from_where_on_a_teacher_is_asked_is_decided_on_validation():
    of = answered(pair(Known(*RIGHT), Known(*SURE_TWICE)))
    unsure = replace(of, valid=Batches(lambda rng: iter([torch.zeros(4, 4)]), 1))
    assert run("cascade", unsure, shares=(0.5,))["cascade_asked_50"] == 0


def test_a_cascade_wants_choices_and_the_same_ones():
    of = pair(Known(*RIGHT), Known(*SURE_TWICE))
    values = replace(of, workload=replace(of.workload, apply=lambda model, rows: Output(model(rows), "values")))
    with pytest.raises(UserError, match=r"classes or candidates.*values \(4, 4\)"):
        run("cascade", values)
    with pytest.raises(UserError, match=r"\(4, 4\) and \(4, 2\)"):
        run("cascade", replace(of, teacher=Known(*([0.0, 1],) * 4), workload=replace(of.workload, agreement=lambda a, b: torch.ones(4))))


class Sum(nn.Module):
    """Adds up what it reads, without the label."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.scale * values.double()


def stressed(values: torch.Tensor) -> Pair:
    """Batches of values and something that no model reads; the score is the mean distance from the values."""

    def score(outputs):
        return {"distance": float(torch.cat([(output.prediction - clean).abs().flatten() for output, (clean, _) in outputs]).mean())}

    workload = replace(WORKLOAD, apply=lambda model, batch: Output(model(batch[0]), "values"), score=score, higher_is_better=False)
    batches, other = (Batches(lambda rng, batch=batch: iter([batch]), 1) for batch in ((values, values.double()), (values.clone(), values)))
    return Pair(workload, Sum(), Sum(), batches, (values, values), CPU, other, other)


def test_noise_is_a_share_of_the_deviation_and_the_same_for_both():
    values = 5 * torch.randn(300, 40, generator=torch.Generator().manual_seed(0)) + 7
    found = run("stress", stressed(values), noise=(0.1, 0.2), missing=())
    assert list(found) == [f"{who}_distance_noise_{level}" for level in (10, 20) for who in ("teacher", "student")]
    for percent in (10, 20):
        mean_of_a_normal = 5 * percent / 100 * (2 / torch.pi) ** 0.5
        assert found[f"student_distance_noise_{percent}"] == pytest.approx(mean_of_a_normal, rel=0.02)
        assert found[f"student_distance_noise_{percent}"] == found[f"teacher_distance_noise_{percent}"]


def test_what_is_missing_has_the_mean():
    values = torch.tensor([[0.0, 2.0]]).repeat(500, 10)
    assert run("stress", stressed(values), noise=(), missing=(0.3,))["student_distance_missing_30"] == pytest.approx(0.3, abs=0.02)


def test_pixels_stay_pixels():
    values = torch.full((4, 3, 50, 50), 255, dtype=torch.uint8)
    values[:, :, :25] = 0
    found = run("stress", stressed(values), noise=(0.1,), missing=())["student_distance_noise_10"]
    deviation = 0.1 * 127.5
    assert found == pytest.approx(deviation / (2 * torch.pi) ** 0.5, rel=0.1)


def test_edges_are_missing_where_the_workload_says_how():
    of = stressed(torch.arange(12).view(3, 4))
    of = replace(of, workload=replace(of.workload, thinned=lambda share, batch, rng: (batch[0] + share, batch[1])))
    found = run("stress", of, edges=(0.25,))
    assert found == {f"{who}_distance_edges_25": 0.25 for who in of.models}


def test_what_is_read_as_words_cannot_be_stressed():
    with pytest.raises(UserError, match="stress wants a network that reads numbers"):
        run("stress", stressed(torch.arange(12).view(3, 4)))
