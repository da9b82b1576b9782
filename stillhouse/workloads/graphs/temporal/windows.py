"""The nodes of each window as one row of a table, for what is done to every window by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.workloads.graphs.temporal.batch import Batch


@dataclass(frozen=True, eq=False)
class Slots:
    """A table with a row for each window, as long as the largest one."""

    counts: Tensor
    """(windows,): nodes of each window."""
    longest: int
    place: Tensor | None
    """(nodes,): the slot of each node in the flat table; None if the table is the nodes in their order."""

    @staticmethod
    def of(batch: Batch) -> Slots:
        """Windows may be of different sizes, their nodes in any order."""
        counts = torch.bincount(batch.window, minlength=batch.windows)
        longest, numbers = int(counts.max()), torch.arange(len(batch.window), device=batch.window.device)
        order = torch.argsort(batch.window, stable=True)
        slots = torch.arange(batch.windows, device=order.device) * longest - (counts.cumsum(0) - counts)
        place = torch.empty_like(order).index_copy(0, order, slots[batch.window[order]] + numbers)
        full = batch.windows * longest == len(place) and bool((place == numbers).all())
        return Slots(counts, longest, None if full else place)

    @property
    def windows(self) -> int:
        """Rows of the table."""
        return len(self.counts)

    def spread(self, value: Tensor, fill: float = 0.0) -> Tensor:
        """(steps, nodes, channels) -> (steps, windows, longest, channels)"""
        if self.place is not None:
            table = value.new_full((len(value), self.windows * self.longest, value.shape[-1]), fill)
            value = table.index_copy(1, self.place, value)
        return value.unflatten(1, (self.windows, self.longest))

    def gather(self, table: Tensor) -> Tensor:
        """(steps, windows, longest, channels) -> (steps, nodes, channels)"""
        value = table.flatten(1, 2)
        return value if self.place is None else value.index_select(1, self.place)

    def highest(self, score: Tensor, count: int) -> Tensor:
        """(steps, nodes) -> (steps, windows, count): the nodes with the highest scores of each window, the lowest again if too few."""
        table = self.spread(score[..., None], -torch.inf).squeeze(-1)
        rank = torch.arange(count, device=score.device).minimum(self.counts[:, None] - 1)
        column = table.topk(min(count, self.longest)).indices.gather(-1, rank.expand(len(score), -1, -1))
        slot = column + self.longest * torch.arange(self.windows, device=score.device)[:, None]
        if self.place is None:
            return slot
        node = slot.new_zeros(self.windows * self.longest)
        return node.index_copy(0, self.place, torch.arange(len(self.place), device=score.device))[slot]
