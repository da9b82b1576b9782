"""What the networks of a search are trained on: the task's loss, and the teacher's answers beside it or in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss, Problem, Task
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.training.teaching import Teaching, TeachingSettings, teaching_of

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Asked:
    """What the teacher is asked for in a search: the settings of losses, and these, in one order."""

    settings: TeachingSettings
    losses: Sequence[Loss]


class Alone(nn.Module):
    """The task's loss, and nothing that is trained."""

    def __init__(self, loss: Callable[[Output, Any], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Output, batch: Any, share: Share = WHOLE) -> Float[Tensor, ""]:
        """What a part of a batch adds to its loss."""
        return share.of(self.loss, output, batch)


class Taught(nn.Module):
    """The task's loss times its weight, and the distillation losses with their adapters; the teacher is no part of it."""

    def __init__(self, task: Task[Any], teacher: nn.Module, asked: Asked, teaching: Teaching) -> None:
        super().__init__()
        self.loss, self.weight, self.teaching = task.loss, asked.settings.task_weight, teaching
        self.answer = partial(task.apply, teacher)
        self.shown = task.shown if any(loss.sees for loss in asked.losses) else None

    def forward(self, output: Output, batch: Any, share: Share = WHOLE) -> Float[Tensor, ""]:
        """What a part of a batch adds to its loss."""
        with torch.no_grad():
            wanted = self.answer(batch)
        taught: Tensor = self.teaching(output, wanted, share, self.shown and self.shown(batch))
        return self.weight * share.of(self.loss, output, batch) + taught


def lesson(problem: Problem[Any], network: nn.Module) -> nn.Module:
    """What a network of a search is trained on, a new one for each training."""
    return problem.lesson(network) if problem.lesson else Alone(problem.loss)


def taught(task: Task[Any], teacher: nn.Module, asked: Asked, example: Any, steps: int, network: nn.Module) -> Taught:
    """For one network, by what it answers to the example; an epoch has so many steps.

    Raises UserError if a loss refuses the two networks.
    """
    mode = network.training
    with torch.no_grad():
        pair = task.apply(network.eval(), example), task.apply(teacher.eval(), example)
    shown = task.shown(example) if any(loss.sees for loss in asked.losses) else None
    network.train(mode)
    teaching = teaching_of(asked.settings, asked.losses, pair, shown, steps)
    return Taught(task, teacher, asked, teaching.to(next(network.parameters()).device))
