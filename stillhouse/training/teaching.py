"""How a student is trained on the task and on the outputs of a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.data import Data, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss, Task
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.shown import Shown
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.space import cost
from stillhouse.training import ranks
from stillhouse.training import term as terms
from stillhouse.training.fit import FitSettings, Objective, fit, fit_best
from stillhouse.training.progress import Progress
from stillhouse.training.score import first_batch, score


class WeightedLoss(Settings):
    """One distillation loss by its name, with its weight and its own settings."""

    loss: str
    weight: float = Field(1.0, gt=0)
    settings: Any


class TeachingSettings(Settings):
    """How the student is trained; no losses means that the teacher is not asked at all."""

    losses: tuple[WeightedLoss, ...] = ()
    task_weight: float = Field(1.0, ge=0)
    start: Literal["inherited", "fresh"] = "inherited"
    """Whether the student starts from the weights that the search cut out of its supernet."""
    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs over which the weight of the distillation losses rises linearly from 0."""
    fit: FitSettings

    @model_validator(mode="after")
    def _taught(self) -> Self:
        if not self.losses and (self.task_weight, self.warmup_epochs) != (1, 0):
            raise ValueError("task_weight and warmup_epochs should be left out where there are no losses beside the task's own")
        return self


class Teaching(nn.Module):
    """The sum of the weighted distillation losses of one teacher, with their adapters and the warm-up's step count."""

    steps: Tensor

    def __init__(
        self, losses: list[tuple[float, nn.Module]], warmup_steps: float, pooling: Sequence[int] = (), seeing: Sequence[int] = ()
    ) -> None:
        """`pooling` are the places of those losses that want a whole batch, `seeing` of those that are shown what is in it."""
        super().__init__()
        self.weights = [weight for weight, _ in losses]
        self.terms = nn.ModuleList(term for _, term in losses)
        self.warmup_steps, self.pooling, self.seeing = warmup_steps, frozenset(pooling), frozenset(seeing)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, student: Output, teacher: Output, share: Share = WHOLE, shown: Shown | None = None) -> Tensor:
        """A scalar: what the rows of this part, a `share` of the batch, add to the loss of the batch."""
        terms = [weight * self._term(place, student, teacher, share, shown) for place, weight in enumerate(self.weights)]
        total = torch.stack(terms).sum()
        if self.warmup_steps:
            total = (self.steps.double() / self.warmup_steps).clamp(max=1).to(total) * total
        self.steps += share.last
        return total

    def _term(self, place: int, student: Output, teacher: Output, share: Share, shown: Shown | None) -> Tensor:
        term = self.terms[place]
        if place in self.pooling and ranks.count() > 1:
            whole = terms.given(term, ranks.whole(student), ranks.whole(teacher))
            return whole / ranks.count()  # each device has it all, and what they have is added up
        return share.rows * terms.given(term, student, teacher, *([shown] if place in self.seeing else []))


def train(
    task: Task[Any],
    data: Data[Any],
    student: nn.Module,
    teacher: nn.Module | None,
    settings: TeachingSettings,
    losses: Sequence[Loss],
    *,
    rng: torch.Generator,
    log: Log,
    progress: Progress | None = None,
) -> Metrics:
    """Trains `student` where it lies and leaves in it the weights of the epoch that is best on the validation split.

    `teacher` lies on the same device, is asked without gradients and may be None where there are no `losses`, which are those of the
    settings, in their order. Returns the validation metrics of the best epoch, and the student's parameters and MACs. Raises UserError if
    a loss refuses the two models.
    """
    example = first_batch(data.valid, next(student.parameters()).device)
    parts = nn.ModuleDict({"student": student})
    if teacher is None:
        objective = untaught(task, student)
    else:
        pair = _outputs(task, student, teacher, example)
        shown = task.shown if any(loss.sees for loss in losses) else _nothing
        teaching = teaching_of(settings, losses, pair, shown(example), data.train.length)
        parts["teaching"] = teaching.to(next(student.parameters()).device)
        objective = _taught(task, settings, parts, teacher, shown)
    best = fit_best(
        student,
        fit(parts, objective, data.train, settings.fit, rng, progress=progress, split=task.split),
        settings.fit,
        lambda: score(task, student, data.valid),
        log,
        higher_is_better=task.higher_is_better,
        progress=progress,
    )
    return best | cost.summary(student, lambda: task.apply(student, example))


def _outputs(task: Task[Any], student: nn.Module, teacher: nn.Module, batch: Any) -> tuple[Output, Output]:
    with torch.no_grad():
        return task.apply(student.eval(), batch), task.apply(teacher, batch)


def _nothing(batch: Any) -> None:
    """What losses that compare outputs alone are shown."""


def teaching_of(
    settings: TeachingSettings, losses: Sequence[Loss], pair: tuple[Output, Output], shown: Shown | None, steps_per_epoch: int
) -> Teaching:
    """The losses of the settings, made for a pair of outputs (student, teacher). Raises UserError if one of them refuses the two."""
    named = list(zip(settings.losses, losses, strict=True))
    made = [(item.weight, terms.made(item.loss, loss, item.settings, *pair, *([shown] if loss.sees else []))) for item, loss in named]
    pooling = [place for place, (item, loss) in enumerate(named) if loss.pools(item.settings)]
    seeing = [place for place, loss in enumerate(losses) if loss.sees]
    if ranks.count() > 1 and (both := set(pooling) & set(seeing)):
        name = settings.losses[min(both)].loss
        raise UserError(f"fit.devices - should be 1 - the loss {name} takes statistics over a batch, of which each device sees a part")
    return Teaching(made, settings.warmup_epochs * steps_per_epoch, pooling, seeing)


def _taught(
    task: Task[Any],
    settings: TeachingSettings,
    parts: nn.ModuleDict,
    teacher: nn.Module,
    shown: Callable[[Any], Shown | None],
) -> Objective:
    def objective(batch: Any, share: Share = WHOLE) -> Tensor:
        output = task.apply(parts["student"], batch)
        with torch.no_grad():
            wanted = task.apply(teacher, batch)
        return settings.task_weight * share.of(task.loss, output, batch) + parts["teaching"](output, wanted, share, shown(batch))

    return objective


def untaught(task: Task[Any], student: nn.Module) -> Objective:
    """The task's loss alone."""
    return lambda batch, share=WHOLE: share.of(task.loss, task.apply(student, batch), batch)
