"""Training and cutting in one run: the least important elements are shrunk to nothing while all else learns (HESSO, arXiv 2409.09085).

    share left of what is marked, after each step <- (T - t - 1) / (T - t) of it,     t = 1 ... T - 1

x, the weights that write an element (rows of the layers before it, their biases, scales and shifts of norms), takes the optimiser's step
-d like all others and is then shrunk, so that it ends at exactly 0. Five terms say what is marked, each over its norm over all elements:

    |x|,   |x| / number of weights,   cos(x, d) + 1,   |x . d|,   (x . d)^2 / 2

This is the authors' released code, which takes an alignment of x and d, a step that makes x smaller, for important, without its
corrective cycles (CRIC). Two points are this project's: the budget is a cost in place of a number of elements, and what has come to 0 is
masked from then on, which is the same where an element without weights is 0, and elsewhere trains what will be cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.searches._candidate import candidate
from stillhouse.searches._rounding import Rounding
from stillhouse.searches._shrink import dropped
from stillhouse.searches._slices import Slices, slices
from stillhouse.space.blueprint import Architecture, Group, full, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.lessons import lesson
from stillhouse.training.progress import Progress

if TYPE_CHECKING:
    from jaxtyping import Float


class HessoSettings(Settings):
    """How the network is trained, and when in the course of it elements go."""

    fit: FitSettings
    start: float = Field(0.1, ge=0, lt=1)
    """The share of the steps before the first elements are marked."""
    pruning: float = Field(0.5, gt=0, le=1)
    """The share of the steps in which elements shrink, those of all periods together; in what is left of them the others train on."""
    periods: int = Field(1, gt=0)
    """How often elements are marked; each time a like part of the cost goes."""
    multiple: int = Field(1, gt=0)

    @model_validator(mode="after")
    def _within(self) -> HessoSettings:
        if self.start + self.pruning > 1:
            raise ValueError(f"start + pruning should be at most 1: got {self.start} + {self.pruning}")
        return self


@dataclass(frozen=True)
class Schedule:
    """After how many steps the first of the periods begins, and how many steps each has."""

    start: int
    duration: int
    periods: int

    def begins(self, step: int) -> int | None:
        """The number of the period, from 1, whose elements are marked in this step, the first step being 1."""
        period, place = divmod(step - self.start - 1, self.duration)
        return period + 1 if place == 0 and 0 <= period < self.periods else None

    def factor(self, step: int) -> float:
        """What is left of a marked weight after this step, of what it was before."""
        place = (step - self.start) % self.duration
        return (self.duration - place - 1) / (self.duration - place)


def saliency(
    square: Float[Tensor, " elements"],
    step_square: Float[Tensor, " elements"],
    product: Float[Tensor, " elements"],
    weights: Float[Tensor, " elements"],
) -> Float[Tensor, " elements"]:
    """How important elements are, of |x|^2, |d|^2, x . d and the number of weights of each; whatever the scale of d."""
    length = square.sqrt()
    cosine = product / (length * step_square.sqrt()).clamp(min=1e-30)
    terms = torch.stack([length, length / weights.clamp(min=1), cosine + 1, product.abs(), product.square() / 2])
    return (0.2 * terms / terms.norm(dim=1, keepdim=True).clamp(min=1e-30)).sum(0)


class Pruning(nn.Module):
    """Which elements are left and which are marked, kept with the checkpoints of a training; it lies on the CPU."""

    steps: Tensor
    left: Tensor
    marked: Tensor

    def __init__(self, groups: tuple[Group, ...], of: list[Slices], rounding: Rounding, schedule: Schedule) -> None:
        super().__init__()
        self.groups, self.slices, self.rounding, self.schedule = groups, of, rounding, schedule
        self.sizes = [group.size for group in groups]
        self.before: list[Tensor] = []
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("left", torch.ones(sum(self.sizes)))
        self.register_buffer("marked", torch.zeros(sum(self.sizes)))

    def masks(self, device: torch.device | None = None) -> dict[str, Float[Tensor, " _"]]:
        """Group name -> (size,): 1 for what is left, marked or not."""
        return self._by_group(self.left.to(device))

    def kept(self) -> Architecture:
        """What is left and not marked."""
        parts = self._by_group(self.left - self.marked)
        return Architecture({name: tuple(part.nonzero().flatten().tolist()) for name, part in parts.items()})

    @torch.compiler.disable
    def look(self) -> None:
        """Before each step: keeps the weights from which a step is taken that elements are marked by."""
        if self.schedule.begins(int(self.steps) + 1):
            self.before = [part.weight.detach().clone() for part in self.slices]

    @torch.no_grad()
    def step(self) -> None:
        """After each step of the optimiser: marks elements if a period begins, and shrinks what is marked."""
        self.steps += 1
        number = int(self.steps)
        if period := self.schedule.begins(number):
            self._mark(period)
        if not self.marked.any():
            return
        factor = self.schedule.factor(number)
        factors = self._by_group(1 - (1 - factor) * self.marked)
        for part in self.slices:
            part.shrink(factors)
        if factor == 0:
            self.left -= self.marked
            self.marked.zero_()

    def _mark(self, period: int) -> None:
        whole = self.rounding.price(full(self.groups))
        most = whole - (whole - min(whole, self.rounding.budget)) * period / self.schedule.periods
        wanted = dropped(replace(self.rounding, budget=most), self.kept(), self.scores(), _as_they_are)
        target = torch.cat(list(hard_masks(self.groups, wanted, self.left).values()))
        self.left.copy_(torch.maximum(self.left, target))
        self.marked.copy_(self.left - target)
        self.before = []

    def scores(self) -> dict[str, Float[Tensor, " _"]]:
        """Group name -> (size,): the saliency by the step that was taken; 0 for blocks."""
        facts = {group.name: torch.zeros(4, group.size, dtype=torch.float64) for group in self.groups}
        for part, before in zip(self.slices, self.before, strict=True):
            step, own = before - part.weight, before.double()
            for row, values in enumerate([own.square(), step.double().square(), own * step, torch.ones_like(own)]):
                for name, sums in part.sums(values):
                    facts[name][row] += sums
        widths = [group for group in self.groups if group.kind == "width"]
        found = saliency(*torch.cat([facts[group.name] for group in widths], 1)).float().split([group.size for group in widths])
        blocks = {group.name: torch.zeros(group.size) for group in self.groups}
        return blocks | {group.name: part for group, part in zip(widths, found, strict=True)}

    def _by_group(self, elements: Float[Tensor, " elements"]) -> dict[str, Float[Tensor, " _"]]:
        return {group.name: part for group, part in zip(self.groups, elements.split(self.sizes), strict=True)}


def _as_they_are(scores: Float[Tensor, " _"], kept: tuple[int, ...]) -> Float[Tensor, " _"]:
    """All groups share one scale already; -1 for what is dropped."""
    found = torch.full_like(scores, -1.0)
    found[list(kept)] = scores[list(kept)]
    return found


def run(problem: Problem[Any], settings: HessoSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial, with the weights as trained. Raises UserError if the smallest network is above the budget, or steps are too few."""
    rounding = Rounding.of(problem, settings.multiple)
    rounding.require_feasible()
    schedule = _schedule(settings, settings.fit.epochs * problem.data.train.length)
    supernet = problem.supernet()
    pruning = Pruning(problem.groups, slices(supernet, problem.groups), rounding, schedule)
    parts = nn.ModuleDict({"supernet": supernet, "lesson": lesson(problem, supernet), "pruning": pruning})

    device = next(supernet.parameters()).device

    def loss(batch: Any, share: Share = WHOLE) -> Float[Tensor, ""]:
        if share.first:
            pruning.look()
        with masked(supernet, pruning.masks(device)):
            found: Tensor = parts["lesson"](problem.apply(supernet, batch), batch, share)
        return found

    progress = Progress(problem.scratch)
    for epoch in fit(parts, loss, problem.data.train, settings.fit, rng, progress=progress, after_step=pruning.step, split=problem.split):
        cost = rounding.price(pruning.kept())
        problem.log({"epoch": epoch.index, "epochs": settings.fit.epochs, "loss": epoch.loss, "cost": cost})
    yield candidate(problem, pruning.kept(), extract(supernet, pruning.kept()), rng)


def _schedule(settings: HessoSettings, steps: int) -> Schedule:
    duration = int(settings.pruning * steps) // settings.periods
    if duration < 2:
        raise UserError(
            f"search.settings - wanted 2 steps at least for each of {settings.periods} periods - "
            f"{settings.pruning} of {steps} steps leave {duration}: raise fit.epochs or pruning"
        )
    return Schedule(int(settings.start * steps), duration, settings.periods)


SEARCH = Search(HessoSettings, run)
