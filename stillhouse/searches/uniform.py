"""The control that every search must beat: all widths shrink by the same share.

The share is the largest inside the budget; depth stays as it is, unless even one element per group would be too dear.
Which elements stay is decided by the norm of their weights in the supernet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._candidate import candidate, magnitudes
from stillhouse.searches._rounding import Rounding
from stillhouse.space.extraction import extract
from stillhouse.training.fit import FitSettings


class UniformSettings(Settings):
    """The grid of widths (`multiple`), and `fit`: how the cut network is trained before it is scored; None leaves it as cut."""

    fit: FitSettings | None = None
    multiple: int = Field(1, gt=0)


def run(problem: Problem[Any], settings: UniformSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial: the network with the largest share that fits. Raises UserError if the smallest network does not."""
    supernet = problem.supernet()
    shares = {group.name: 1.0 for group in problem.groups if group.kind == "width"}
    blocks = {group.name: tuple(range(group.size)) for group in problem.groups if group.kind == "depth"}
    rounding = Rounding.of(problem, settings.multiple)
    architecture = rounding.fit(shares, blocks, magnitudes(supernet, problem.groups))
    yield candidate(problem, architecture, extract(supernet, architecture), rng, training=settings.fit, scratch=problem.scratch)


SEARCH = Search(UniformSettings, run)
