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
from stillhouse.searches._candidate import candidate, magnitudes
from stillhouse.searches._draw import draw
from stillhouse.searches._rounding import Rounding
from stillhouse.space.extraction import extract
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
    training = settings.fit.model_copy(update={"epochs": settings.fit.epochs // settings.draws})
    for index in range(settings.draws):
        architecture = draw(rounding, settings.band, scores, rng)
        seed = int(torch.randint(2**62, (), generator=rng))
        problem.log({"draw": index + 1, "draws": settings.draws})
        scratch = problem.scratch / f"draw{index + 1}" if problem.scratch else None
        weights = extract(supernet, architecture)
        yield candidate(problem, architecture, weights, torch.Generator().manual_seed(seed), training=training, scratch=scratch)


SEARCH = Search(RandomSettings, run)
