"""How the rows of a table become batches: shuffled anew for each pass, or in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from stillhouse.contracts.data import Batches, Jobs

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Order:
    """The row numbers (batch,) of each of the `length` batches of a pass, drawn anew for each."""

    draw: Callable[[torch.Generator], Iterable[Tensor]]
    length: int


def anywhere(rows: int, size: int, limit: int | None = None) -> Order:
    """Batches of `size` rows at the most that differ by one row at the most; each row may be in any of them.

    `limit` takes so many rows, spread evenly over the table.
    """
    chosen = taken(rows, limit)
    count = -(-len(chosen) // size)
    return Order(lambda rng: chosen[torch.randperm(len(chosen), generator=rng)].tensor_split(count), count)


def by_groups(starts: Tensor, size: int, window: int, lanes: int, limit: int | None = None) -> Order:
    """Batches as those of `anywhere`, of rows near one another: row groups in a random order, the rows of each `window` of them mixed.

    `starts` (groups + 1,) are the first rows of the groups and the number of all. The order is cut into `lanes` runs, and batch after
    batch comes from the next one: at no time are rows of more than `lanes` windows wanted, but for a batch that lies across two.
    """
    chosen = taken(int(starts[-1]), limit)
    groups = chosen.tensor_split(torch.searchsorted(chosen, starts[1:-1]))
    sizes = [len(part) for part in chosen.tensor_split(-(-len(chosen) // size))]
    runs = [sizes[lane::lanes] for lane in range(lanes)]

    def draw(rng: torch.Generator) -> Iterator[Tensor]:
        windows = torch.randperm(len(groups), generator=rng).split(window)
        rows = torch.cat([_mixed(torch.cat([groups[number] for number in numbers]), rng) for numbers in windows])
        cut = [run.split(parts) for run, parts in zip(rows.split([sum(parts) for parts in runs]), runs, strict=True)]
        return (cut[place % lanes][place // lanes] for place in range(len(sizes)))

    return Order(draw, len(sizes))


def _mixed(rows: Tensor, rng: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=rng)]


def taken(rows: int, limit: int | None) -> Tensor:
    """The numbers of `limit` rows, spread evenly over the table; of all for None."""
    return torch.arange(rows) if limit is None or limit >= rows else torch.arange(limit) * rows // limit


def shuffled(order: Order, build: Callable[..., Batch], chance: Callable[[int, torch.Generator], Any] | None = None) -> Batches[Batch]:
    """`build(rows)` makes a batch of row numbers (batch,), or `build(rows, drawn)` with what `chance(how many, rng)` has drawn for them."""

    def plan(rng: torch.Generator) -> Iterator[tuple[Any, ...]]:
        for part in order.draw(rng):
            rows = part.clone()  # a view would take all rows along to another process
            yield (rows, chance(len(rows), rng)) if chance else (rows,)

    return Batches.of(Jobs(plan, lambda job: build(*job)), order.length)


def in_order(rows: int, size: int, make: Callable[[Tensor], Batch]) -> Batches[Batch]:
    """Batches of `size` rows, the last one smaller; the same in each pass."""
    parts = torch.arange(rows).split(size)
    return Batches.of(Jobs(lambda rng: iter(parts), make), len(parts))
