"""How the rows of a table become batches: shuffled anew for each pass, or in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from stillhouse.contracts.data import Batches

Batch = TypeVar("Batch")


def shuffled(rows: int, size: int, make: Callable[[Tensor, torch.Generator], Batch], limit: int | None = None) -> Batches[Batch]:
    """Batches of `size` rows at the most that differ by one row at the most; `limit` takes so many rows, spread evenly over the table.

    `make(rows, rng)` gives the batch of row numbers (batch,), and may draw what is done to them.
    """
    taken = torch.arange(rows)
    if limit is not None and limit < rows:
        taken = torch.arange(limit) * rows // limit
    count = -(-len(taken) // size)

    def draw(rng: torch.Generator) -> Iterator[Batch]:
        for chosen in taken[torch.randperm(len(taken), generator=rng)].tensor_split(count):
            yield make(chosen, rng)

    return Batches(draw, count)


def in_order(rows: int, size: int, make: Callable[[Tensor], Batch]) -> Batches[Batch]:
    """Batches of `size` rows, the last one smaller; the same in each pass."""
    parts = torch.arange(rows).split(size)
    return Batches(lambda rng: (make(part) for part in parts), len(parts))
