"""Architectures drawn at random just inside a budget.

A draw takes a depth and a share for each width group, then scales the shares to the budget. Which blocks stay is drawn
too; which elements stay is decided by scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.searches._rounding import Rounding
from stillhouse.space.blueprint import Architecture, Group

if TYPE_CHECKING:
    from jaxtyping import Float

ATTEMPTS = 100


Choose = Callable[[Group, int, torch.Generator], tuple[int, ...]]
"""choose(depth group, how many, rng) -> the blocks that stay."""


def any_blocks(group: Group, count: int, rng: torch.Generator) -> tuple[int, ...]:
    """So many blocks of a depth group, drawn alike."""
    return tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))


def draw(
    rounding: Rounding, band: float, scores: Mapping[str, Float[Tensor, " _"]], rng: torch.Generator, choose: Choose = any_blocks
) -> Architecture:
    """One that costs at most the budget and at least the share 1 - `band` of it; `scores`: group -> (size,).

    Raises UserError when none of many draws does.
    """
    least = rounding.budget * (1 - band)
    for _ in range(ATTEMPTS):
        shares = {group.name: 1 - float(torch.rand((), generator=rng)) for group in rounding.groups if group.kind == "width"}
        blocks = {group.name: choose(group, _depth(group, rng), rng) for group in rounding.groups if group.kind == "depth"}
        architecture = rounding.fit(shares, blocks, scores)
        if rounding.price(architecture) >= least:
            return architecture
    raise UserError(f"{ATTEMPTS} draws gave no network that costs between {least:.4g} and {rounding.budget:.4g}: widen `band`")


def _depth(group: Group, rng: torch.Generator) -> int:
    return int(torch.randint(group.minimum, group.size + 1, (), generator=rng))
