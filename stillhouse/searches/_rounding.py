"""From shares to counts: the architecture nearest to what a search wants whose cost is inside the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem
from stillhouse.space.blueprint import Architecture, Group
from stillhouse.space.cost import counts_of

if TYPE_CHECKING:
    from jaxtyping import Float

BISECTIONS = 40

Blocks = Mapping[str, tuple[int, ...]]
"""Depth group -> the indices of its kept blocks."""


@dataclass(frozen=True)
class Rounding:
    """Makes architectures that cost at most `budget`; widths are multiples of `multiple` wherever a group allows it.

    `cost` and `budget` are those of a `Problem`.
    """

    groups: tuple[Group, ...]
    cost: Callable[[Mapping[str, Tensor]], Tensor]
    budget: float
    multiple: int = 1

    @classmethod
    def of(cls, problem: Problem[Any], multiple: int = 1) -> Rounding:
        """For a problem; the multiple is one that its budgets want too."""
        return cls(problem.groups, problem.cost, problem.budget, math.lcm(multiple, problem.multiple))

    def fit(self, shares: Mapping[str, float], blocks: Blocks, scores: Mapping[str, Float[Tensor, " _"]]) -> Architecture:
        """Scales the wanted `shares` (width group -> share kept) by one factor until the budget is used up.

        Of each width group the elements with the highest of `scores` (group -> (size,)) are kept, of equal ones the
        last. `blocks` stay as they are, unless even the narrowest network of that depth is too dear: then the blocks
        with the lowest scores go. Raises UserError if the narrowest and shallowest network does not fit.
        """
        blocks = self._affordable(blocks, scores)
        low, high = 0.0, max((1 / share for share in shares.values()), default=1.0)
        if self._fits(self._counts(shares, high), blocks):
            low = high
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._fits(self._counts(shares, middle), blocks) else (low, middle)
        counts = self._topped_up(self._counts(shares, low), shares, blocks)
        kept = {name: most_important(scores[name], count) for name, count in counts.items()}
        return Architecture({group.name: (kept | dict(blocks))[group.name] for group in self.groups})

    def require_feasible(self) -> None:
        """Raises UserError if the budget is below the smallest network: before a search is paid for."""
        scores = {group.name: torch.zeros(group.size) for group in self.groups}
        self._affordable({group.name: tuple(range(group.size)) for group in self.groups if group.kind == "depth"}, scores)

    def price(self, architecture: Architecture) -> float:
        """The cost of an architecture."""
        return float(self.cost(counts_of(self.groups, architecture)))

    def _counts(self, shares: Mapping[str, float], factor: float) -> dict[str, int]:
        return {group.name: self._rounded(group, shares[group.name] * factor) for group in self.groups if group.kind == "width"}

    def _rounded(self, group: Group, share: float) -> int:
        nearest = self.multiple * int(share * group.size / self.multiple + 0.5)
        least = self.multiple * -(-group.minimum // self.multiple)
        return min(max(nearest, least), group.size)

    def _topped_up(self, counts: dict[str, int], shares: Mapping[str, float], blocks: Blocks) -> dict[str, int]:
        """One more step at a time for the group whose turn is next, until none fits.

        Groups of one size grow at one factor, which may be too much at once; and where a step of one group is dear, as a head is, the
        others can still grow.
        """
        open_ = [group for group in self.groups if group.kind == "width"]
        while open_:
            group = min(open_, key=lambda group: (counts[group.name] + self.multiple / 2) / (shares[group.name] * group.size))
            grown = counts | {group.name: min(counts[group.name] + self.multiple, group.size)}
            if grown != counts and self._fits(grown, blocks):
                counts = grown
            else:
                open_.remove(group)
        return counts

    def _fits(self, counts: Mapping[str, int], blocks: Blocks) -> bool:
        return self._price(counts, blocks) <= self.budget

    def _price(self, counts: Mapping[str, int], blocks: Blocks) -> float:
        return self.price(Architecture({name: tuple(range(count)) for name, count in counts.items()} | dict(blocks)))

    def _affordable(self, blocks: Blocks, scores: Mapping[str, Tensor]) -> Blocks:
        narrowest = {group.name: self._rounded(group, 0.0) for group in self.groups if group.kind == "width"}
        while not self._fits(narrowest, blocks):
            removable = list(self._removable(blocks, scores))
            if not removable:
                least = self._price(narrowest, blocks)
                raise UserError(f"the budget of {self.budget:.4g} cannot be met: the smallest network of this space costs {least:.4g}")
            _, last, name = min(removable)
            blocks = {**blocks, name: tuple(index for index in blocks[name] if index != -last)}
        return blocks

    def _removable(self, blocks: Blocks, scores: Mapping[str, Tensor]) -> Iterator[tuple[float, int, str]]:
        """(score, minus index, group): the least is the one to drop, of equal ones the last."""
        for group in self.groups:
            if group.kind == "depth" and len(blocks[group.name]) > group.minimum:
                yield from ((float(scores[group.name][index]), -index, group.name) for index in blocks[group.name])


def most_important(scores: Float[Tensor, " elements"], count: int) -> tuple[int, ...]:
    """The sorted indices of the `count` highest scores, of equal ones the last: the elements a mask keeps."""
    order = torch.sort(scores, stable=True).indices
    return tuple(sorted(order[len(order) - count :].tolist()))
