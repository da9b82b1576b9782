"""Blocks that change least what goes through them go (layer dropping by influence: ShortGPT, arXiv 2403.03853).

influence of a block = 1 - mean of cos(x, y), over rows and positions of some training batches, before anything is dropped

Whole blocks seldom use a budget up. As many go as leave the network above it or on it, and then all widths shrink by one share, so that
the network costs what its rivals cost; where there are no removable blocks, this is `uniform`. Which elements of a width stay is decided
by the norm of their weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._batches import batches
from stillhouse.searches._candidate import candidate, magnitudes
from stillhouse.searches._influence import influences, most_dropped, without
from stillhouse.searches._rounding import Rounding
from stillhouse.space.extraction import extract
from stillhouse.training.fit import FitSettings


class ShortSettings(Settings):
    """From how many training batches the influence is taken, and how the cut network is trained (`fit`); None leaves it as cut."""

    batches: int = Field(16, gt=0)
    fit: FitSettings | None = None
    multiple: int = Field(1, gt=0)


def run(problem: Problem[Any], settings: ShortSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial. Raises UserError if the smallest network is above the budget, or a block's influence cannot be seen."""
    rounding = Rounding.of(problem, settings.multiple)
    rounding.require_feasible()
    supernet = problem.supernet()
    given = batches(problem, settings.batches, rng, next(supernet.parameters()).device)
    found = influences(problem, supernet, given)
    scores = magnitudes(supernet, problem.groups) | found
    shares = {group.name: 1.0 for group in problem.groups if group.kind == "width"}
    blocks = without(problem, found, most_dropped(rounding, problem, found))
    architecture = rounding.fit(shares, blocks, scores)
    yield candidate(problem, architecture, extract(supernet, architecture), rng, training=settings.fit, scratch=problem.scratch)


SEARCH = Search(ShortSettings, run)
