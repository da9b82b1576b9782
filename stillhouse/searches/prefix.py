"""The first elements of each group, as many as the budget allows: for a network that was trained so that prefixes of it work by themselves.

Of such a network (`teach: {nested: ...}`, after SortedNet, arXiv 2309.00255, and BigNAS, arXiv 2003.11142) a student is cut at any budget
without training again. The first candidate shrinks all widths by one share and keeps the depth; the others draw shares and depths. Nothing
is trained: the one that is best on the validation split is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches._candidate import candidate
from stillhouse.searches._draw import draw
from stillhouse.searches._rounding import Rounding
from stillhouse.space.blueprint import Group
from stillhouse.space.extraction import extract


class PrefixSettings(Settings):
    """How many networks are scored on the validation split."""

    candidates: int = Field(1, gt=0)
    band: float = Field(0.05, gt=0, le=1)
    """How far below the budget a drawn one may cost, as a share of the budget."""
    multiple: int = Field(1, gt=0)


def run(problem: Problem[Any], settings: PrefixSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial per candidate. Raises UserError if the smallest network is above the budget, or no draw meets it."""
    rounding = Rounding.of(problem, settings.multiple)
    supernet, scores = problem.supernet(), first_ones(problem.groups)
    seed = int(torch.randint(2**62, (), generator=rng))
    for number in range(settings.candidates):
        if number:
            architecture = draw(rounding, settings.band, scores, rng, first_blocks)
        else:
            shares = {group.name: 1.0 for group in problem.groups if group.kind == "width"}
            blocks = {group.name: tuple(range(group.size)) for group in problem.groups if group.kind == "depth"}
            architecture = rounding.fit(shares, blocks, scores)
        batches = torch.Generator().manual_seed(seed)  # the same for all, which are compared
        yield candidate(problem, architecture, extract(supernet, architecture), batches)


def first_ones(groups: tuple[Group, ...]) -> dict[str, Tensor]:
    """Scores by which the first elements of each group stay."""
    return {group.name: torch.arange(group.size, 0, -1).float() for group in groups}


def first_blocks(group: Group, count: int, rng: torch.Generator) -> tuple[int, ...]:
    """So many blocks of a depth group, from the first."""
    return tuple(range(count))


SEARCH = Search(PrefixSettings, run)
