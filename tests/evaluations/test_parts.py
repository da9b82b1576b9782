"""The evaluations of this library, each on what it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from stillhouse import registry
from stillhouse.contracts.data import Batches
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Pair
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


def test_agreement_is_between_the_two_models():
    assert run("agreement", pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0))) == {"agreement": 0.75}


def test_a_workload_may_compare_in_its_own_way():
    of = pair(Fixed(0, 1, 2, 0), Fixed(0, 3, 2, 0))
    of = replace(of, workload=replace(of.workload, agreement=lambda first, second: torch.full((4,), 0.125)))
    assert run("agreement", of) == {"agreement": 0.125}


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
    with pytest.raises(ValueError, match="unknown evaluation 'latencies'; there are agreement, cost, latency, quality, runtimes"):
        registry.evaluation("latencies")
