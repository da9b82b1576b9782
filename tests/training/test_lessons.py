"""What the networks of a search are trained on where the teacher is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.shown import Shown
from stillhouse.contracts.split import Share
from stillhouse.training.fit import FitSettings
from stillhouse.training.lessons import Asked, Taught, taught
from stillhouse.training.teaching import TeachingSettings, WeightedLoss

FIT = FitSettings(epochs=1, learning_rate=0.1)
BATCH = torch.tensor([[1.0], [3.0]])


class Gap(nn.Module):
    """The mean difference from the teacher, times a factor that is trained, and the batch's first label."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, student: Output, teacher: Output, shown: Shown) -> torch.Tensor:
        assert not teacher.prediction.requires_grad
        assert shown.label is not None
        return self.factor * (student.prediction - teacher.prediction).mean() + shown.label[0]


GAP = Loss(Settings, lambda settings, student, teacher, shown: Gap(), sees=True)


def linear(weight: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, weight)
    return layer


def asked(part: Loss = GAP, **settings: Any) -> tuple[Taught, nn.Module]:
    """The lesson of a network that multiplies by 5, of a teacher that multiplies by 2; the task's loss is the mean prediction."""
    task: Any = SimpleNamespace(
        apply=lambda model, batch: Output(model(batch), "values"),
        loss=lambda output, batch: output.prediction.mean(),
        shown=lambda batch: Shown(batch, label=torch.tensor([7.0, 0.0])),
    )
    losses = [WeightedLoss(loss="gap", weight=0.5, settings=Settings())]
    network = linear(5.0)
    wanted = Asked(TeachingSettings(losses=losses, fit=FIT, **settings), [part])
    return taught(task, linear(2.0), wanted, BATCH, 4, network), network


@pytest.mark.parametrize(("task_weight", "wanted"), [(1.0, 10 + 6.5), (0.0, 6.5), (3.0, 30 + 6.5)])
def test_the_lesson_is_the_weighted_sum(task_weight: float, wanted: float) -> None:
    """By hand: predictions 5 and 15, the teacher's 2 and 6; half of their mean difference 6 and of the label 7."""
    found, network = asked(task_weight=task_weight)
    assert found(Output(network(BATCH), "values"), BATCH).item() == wanted


def test_a_part_of_a_batch_counts_for_its_share() -> None:
    found, network = asked()
    part = found(Output(network(BATCH), "values"), BATCH, Share(rows=0.25, loss=0.5))
    assert part.item() == 0.5 * 10 + 0.25 * 6.5


def test_the_adapters_are_trained_and_the_teacher_is_not() -> None:
    found, network = asked()
    found(Output(network(BATCH), "values"), BATCH).backward()
    assert [name for name, _ in found.named_parameters()] == ["teaching.terms.0.factor"]
    assert found.teaching.terms[0].factor.grad is not None


def test_the_losses_warm_up_over_the_steps_of_an_epoch() -> None:
    found, network = asked(task_weight=0.0, warmup_epochs=0.5)
    assert [found(Output(network(BATCH), "values"), BATCH).item() for _ in range(4)] == [0.0, 3.25, 6.5, 6.5]


def test_a_loss_that_refuses_the_pair_says_so_at_once() -> None:
    def refuse(settings: Settings, student: Output, teacher: Output) -> nn.Module:
        raise UserError("gap - wanted more")

    with pytest.raises(UserError, match="gap - wanted more"):
        asked(Loss(Settings, refuse))
