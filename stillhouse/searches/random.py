"""The other control: architectures drawn at random just inside the budget, each trained briefly; the verb keeps the best.

Which elements of a group stay is decided by the norm of their weights in the supernet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field, model_validator

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._candidate import magnitudes
from stillhouse.searches._draw import draw
from stillhouse.searches._rounding import Rounding
from stillhouse.searches._several import Candidate, seeds, trials
from stillhouse.training.fit import FitSettings


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
    """One trial per draw. Raises UserError if none of many draws meets the budget."""
    rounding = Rounding.of(problem, settings.multiple)
    supernet = problem.supernet()
    scores = magnitudes(supernet, problem.groups)
    drawn = [Candidate(draw(rounding, settings.band, scores, rng), seeds(1, rng)[0]) for _ in range(settings.draws)]
    training = settings.fit.model_copy(update={"epochs": settings.fit.epochs // settings.draws})
    yield from trials(problem, "draw", supernet, drawn, training)


SEARCH = Search(RandomSettings, run, shares=True)
