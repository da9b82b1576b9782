"""How the task's loss and the teacher's predictions are weighed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.shown import Shown
from stillhouse.training import ranks
from stillhouse.training.fit import FitSettings
from stillhouse.training.teaching import TeachingSettings, WeightedLoss, train

FIT = FitSettings(epochs=1, learning_rate=0.5, optimizer="sgd")


class Shift(nn.Module):
    """The student's mean: its gradient in a weight of ones is 1 over their number."""

    def forward(self, student: Output, teacher: Output) -> torch.Tensor:
        return student.prediction.mean()


@pytest.mark.parametrize("value", [{"task_weight": 0.0}, {"warmup_epochs": 1}])
def test_without_losses_nothing_is_weighed_against_the_task(value: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="should be left out where there are no losses beside the task's own"):
        TeachingSettings(fit=FIT, **value)


SHIFT = Loss(Settings, lambda settings, student, teacher: Shift())


def moved(task_weight: float, weight: float = 1.0, part: Loss = SHIFT) -> float:
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
        shown=lambda batch: Shown(batch, label=torch.tensor([1, 0, 0, 0])),
    )
    settings = TeachingSettings(losses=[WeightedLoss(loss="shift", weight=weight, settings=Settings())], task_weight=task_weight, fit=FIT)
    train(task, Data(batches, batches), student, nn.Linear(1, 1), settings, [part], rng=torch.Generator(), log=lambda record: None)
    return (before - student.weight.item()) / FIT.learning_rate


class Labelled(nn.Module):
    """The mean of the student's rows times their labels."""

    def forward(self, student: Output, teacher: Output, shown: Shown) -> torch.Tensor:
        assert shown.label is not None
        assert torch.equal(shown.batch, torch.ones(4, 1))
        return (student.prediction[:, 0] * shown.label).mean()


def labelled(settings: Settings, student: Output, teacher: Output, shown: Shown) -> nn.Module:
    assert shown.label is not None
    return Labelled()


def test_a_loss_that_sees_the_batch_is_given_it_when_it_is_made_and_at_each_step():
    assert moved(0, 4, Loss(Settings, labelled, sees=True)) == pytest.approx(1, rel=1e-5)


def test_on_several_devices_what_sees_a_part_takes_no_statistics_over_the_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ranks, "count", lambda: 2)
    with pytest.raises(UserError, match=r"^fit.devices - should be 1 - the loss shift takes statistics over a batch, of which each device"):
        moved(0, 4, Loss(Settings, labelled, pools=lambda settings: True, sees=True))


@pytest.mark.parametrize(("task_weight", "weight"), [(0, 1), (1, 1), (2, 0.5), (0.25, 4)])
def test_the_task_has_the_weight_that_it_is_told(task_weight: float, weight: float):
    assert moved(task_weight, weight) == pytest.approx(3 * task_weight + weight, rel=1e-5)
