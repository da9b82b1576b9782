"""Searches that drop the least important elements of all groups together, at once or in steps with a training in between.

Scores of a group are divided by their mean over its kept elements, if not told otherwise, so that groups of different scale have equal
say; then the lowest of all go until the budget of the step is met. The budget falls from the full network's cost by equal factors. Depth
stays as it is, unless even the narrowest network of that depth would be too dear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._candidate import candidate, take_statistics, train
from stillhouse.searches._rounding import Rounding
from stillhouse.space.blueprint import Architecture, Group, full, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.training.fit import FitSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class ShrinkSettings(Settings):
    """In how many `steps` elements are dropped, and how the network is trained after each (`fit`); None leaves it as cut.

    The epochs of `fit` are those of all steps together.
    """

    steps: int = Field(1, gt=0)
    """One is one shot; with more of them the elements that are left are scored again after each step."""
    fit: FitSettings | None = None
    multiple: int = Field(1, gt=0)

    @model_validator(mode="after")
    def _whole_epochs(self) -> ShrinkSettings:
        if self.fit and self.fit.epochs % self.steps:
            raise ValueError(f"fit.epochs should be a multiple of steps, which share them: got {self.fit.epochs} and {self.steps}")
        return self


Scores = Mapping[str, "Float[Tensor, ' _']"]
"""Group name -> (size,): the importance of each element, 0 or more."""
Score = Callable[[Problem[Any], nn.Module, Scores, torch.Generator], Scores]
"""Takes a problem, its supernet, the 0/1 masks of what is kept, and the generator of batches."""


Relative = Callable[["Float[Tensor, ' _']", tuple[int, ...]], "Float[Tensor, ' _']"]
"""relative(scores of a group, what is kept of it) -> scores that all groups share, above 0; -1 for what is dropped already."""
Cut = Callable[[nn.Module, Architecture], Mapping[str, Tensor]]
"""Takes the supernet and what is kept; gives the weights of the static network."""


def over_mean(scores: Float[Tensor, " _"], kept: tuple[int, ...]) -> Float[Tensor, " _"]:
    """Scores over their mean; -1 for what is dropped already, below all that is kept."""
    found = torch.full_like(scores, -1.0)
    index = list(kept)
    found[index] = scores[index] / scores[index].mean().clamp(min=1e-30)
    return found


def shrunk(
    problem: Problem[Any],
    settings: ShrinkSettings,
    score: Score,
    rng: torch.Generator,
    *,
    relative: Relative = over_mean,
    cut: Cut = extract,
) -> Iterator[Trial]:
    """One trial: what is left of the supernet, with its weights. Raises UserError if the smallest network is above the budget."""
    rounding = Rounding(problem.groups, problem.cost, problem.budget, settings.multiple)
    rounding.require_feasible()
    supernet, kept = problem.supernet(), full(problem.groups)
    whole, share = rounding.price(kept), min(1.0, problem.budget / rounding.price(kept))
    training = settings.fit and settings.fit.model_copy(update={"epochs": settings.fit.epochs // settings.steps})
    for step in range(1, settings.steps + 1):
        scores = score(problem, supernet, _masks(problem, supernet, kept), rng)
        kept = dropped(replace(rounding, budget=whole * share ** (step / settings.steps)), kept, scores, relative)
        problem.log({"step": step, "steps": settings.steps, "cost": rounding.price(kept)})
        seed = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=rng)))
        scratch = problem.scratch / f"step{step}" if problem.scratch else None
        if step == settings.steps:
            yield candidate(problem, kept, cut(supernet, kept), seed, training=training, scratch=scratch)
            continue
        with masked(supernet, _masks(problem, supernet, kept)):
            if training:
                train(problem, supernet, training, seed, scratch)
            else:
                take_statistics(problem, supernet, seed)


def dropped(rounding: Rounding, kept: Architecture, scores: Scores, over: Relative = over_mean) -> Architecture:
    """Of what is kept, the elements with the highest scores, each relative to its group, as many as the budget allows."""
    relative = {group.name: over(scores[group.name].cpu(), kept.kept[group.name]) for group in rounding.groups}
    widths = [group for group in rounding.groups if group.kind == "width"]
    bounds = torch.cat([torch.zeros(1), *(_droppable(group, relative[group.name]) for group in widths)]).sort().values
    low, high = 0, len(bounds) - 1
    while low < high:  # the first bound at which the network is cheap enough
        middle = (low + high) // 2
        inside = rounding.price(_above(rounding.groups, kept, relative, float(bounds[middle]))) <= rounding.budget
        low, high = (low, middle) if inside else (middle + 1, high)
    counts = _above(rounding.groups, kept, relative, float(bounds[low])).counts()
    shares = {group.name: counts[group.name] / group.size for group in widths}
    blocks = {group.name: kept.kept[group.name] for group in rounding.groups if group.kind == "depth"}
    return rounding.fit(shares, blocks, relative)


def _droppable(group: Group, relative: Float[Tensor, " _"]) -> Float[Tensor, " _"]:
    """The scores of kept elements that are not among the `minimum` highest."""
    order = relative.sort(descending=True).values[group.minimum :]
    return order[order >= 0]


def _above(groups: tuple[Group, ...], kept: Architecture, relative: Scores, bound: float) -> Architecture:
    """Of each width group as many elements as have a score above the bound, at least its minimum; depth as it is."""
    counts = {group.name: max(int((relative[group.name] > bound).sum()), group.minimum) for group in groups}
    return Architecture(
        {group.name: kept.kept[group.name] if group.kind == "depth" else tuple(range(counts[group.name])) for group in groups}
    )


def _masks(problem: Problem[Any], supernet: nn.Module, kept: Architecture) -> dict[str, Float[Tensor, " _"]]:
    return hard_masks(problem.groups, kept, next(supernet.parameters()).detach())
