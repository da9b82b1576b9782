"""How the task's loss and the teacher's predictions are weighed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.training.fit import FitSettings
from stillhouse.training.teaching import TeachingSettings, WeightedLoss, train

FIT = FitSettings(epochs=1, learning_rate=0.5, optimizer="sgd")


class Shift(nn.Module):
    """The student's mean: its gradient in a weight of ones is 1 over their number."""

    def forward(self, student: Output, teacher: Output) -> torch.Tensor:
        return student.prediction.mean()


def moved(task_weight: float, weight: float = 1.0) -> float:
    """By how much one step lowers a single weight whose task's loss is three times itself and whose teaching is itself."""
    student = nn.Linear(1, 1, bias=False)
    before = student.weight.item()
    batches = Batches(lambda rng: iter([torch.ones(4, 1)]), 1)
    task = SimpleNamespace(
        apply=lambda model, batch: Output(model(batch), "values"),
        loss=lambda output, batch: 3 * output.prediction.mean(),
        score=lambda outputs: {"quality": float(len(list(outputs)))},
        higher_is_better=True,
        split=None,
    )
    settings = TeachingSettings(losses=[WeightedLoss(loss="shift", weight=weight, settings=Settings())], task_weight=task_weight, fit=FIT)
    part = Loss(Settings, lambda settings, student, teacher: Shift())
    train(task, Data(batches, batches), student, nn.Linear(1, 1), settings, [part], rng=torch.Generator(), log=lambda record: None)
    return (before - student.weight.item()) / FIT.learning_rate


@pytest.mark.parametrize(("task_weight", "weight"), [(0, 1), (1, 1), (2, 0.5), (0.25, 4)])
def test_the_task_has_the_weight_that_it_is_told(task_weight: float, weight: float):
    assert moved(task_weight, weight) == pytest.approx(3 * task_weight + weight, rel=1e-5)
