"""The other control: architectures drawn at random just inside the budget, each trained briefly; the verb keeps the best.

A draw takes a depth and a share for each width group, then scales the shares to the budget. Which blocks stay is drawn
too; which elements stay is decided by the norm of their weights in the supernet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stages.core.candidate import candidate, magnitudes
from stages.core.errors import UserError
from stages.core.fit import FitSettings
from stages.core.kinds import Problem, Search, Settings, Trial
from stages.core.rounding import Rounding
from stages.core.space import Architecture, Group, extract

ATTEMPTS = 100


class RandomSettings(Settings):
    """`fit.epochs` are those of all draws together, so that they compare with a search of as many epochs."""

    draws: int = Field(gt=0)
    fit: FitSettings
    band: float = Field(0.02, gt=0, le=1)
    """How far below the budget a draw may cost, as a share of the budget."""
    multiple: int = Field(1, gt=0)

    @model_validator(mode="after")
    def _whole_epochs(self) -> RandomSettings:
        if self.fit.epochs % self.draws:
            raise ValueError(f"fit.epochs should be a multiple of draws, which share them: got {self.fit.epochs} and {self.draws}")
        return self


def run(problem: Problem[Any], settings: RandomSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial a draw."""
    supernet = problem.supernet()
    scores = magnitudes(supernet, problem.groups)
    training = settings.fit.model_copy(update={"epochs": settings.fit.epochs // settings.draws})
    for index in range(settings.draws):
        architecture = _inside_the_band(problem, settings, scores, rng)
        seed = int(torch.randint(2**62, (), generator=rng))
        problem.log({"draw": index + 1, "draws": settings.draws})
        scratch = problem.scratch / f"draw{index + 1}" if problem.scratch else None
        weights = extract(supernet, architecture)
        yield candidate(problem, architecture, weights, torch.Generator().manual_seed(seed), training=training, scratch=scratch)


def _inside_the_band(problem: Problem[Any], settings: RandomSettings, scores: dict[str, Tensor], rng: torch.Generator) -> Architecture:
    rounding = Rounding(problem.groups, problem.cost, problem.budget, settings.multiple)
    least = problem.budget * (1 - settings.band)
    for _ in range(ATTEMPTS):
        shares = {group.name: 1 - float(torch.rand((), generator=rng)) for group in problem.groups if group.kind == "width"}
        blocks = {group.name: _blocks(group, rng) for group in problem.groups if group.kind == "depth"}
        architecture = rounding.fit(shares, blocks, scores)
        if rounding.price(architecture) >= least:
            return architecture
    raise UserError(f"{ATTEMPTS} draws gave no network that costs between {least:.4g} and {problem.budget:.4g}: widen `band`")


def _blocks(group: Group, rng: torch.Generator) -> tuple[int, ...]:
    count = int(torch.randint(group.minimum, group.size + 1, (), generator=rng))
    return tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))


SEARCH = Search(RandomSettings, run)
