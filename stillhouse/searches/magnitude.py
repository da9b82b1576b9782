"""Elements with the smallest weights go, in all groups together (group magnitude; arXiv 1608.08710, over groups 2301.12900).

importance = sqrt( sum over tensors t of sum over w in t that read or write the element of w^2 / mean of t^2 )

Each tensor is divided by its own mean square, so that layers of different scale have equal say. Weights that read or write what
is dropped already do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.searches._candidate import magnitudes
from stillhouse.searches._shrink import Scores, ShrinkSettings, shrunk


class MagnitudeSettings(ShrinkSettings):
    """In how many steps elements go, and how the network is trained between them."""


def score(problem: Problem[Any], model: nn.Module, masks: Scores, rng: torch.Generator) -> Scores:
    """The norm of the weights of each element; no batch is asked."""
    return magnitudes(model, problem.groups, masks)


def run(problem: Problem[Any], settings: MagnitudeSettings, rng: torch.Generator) -> Iterator[Trial]:
    """One trial. Raises UserError if the smallest network is above the budget."""
    yield from shrunk(problem, settings, score, rng)


SEARCH = Search(MagnitudeSettings, run)
