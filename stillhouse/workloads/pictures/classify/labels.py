"""Training pictures that keep their label, and the others, which ride along without one for a teacher to answer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from stillhouse.training.rows import Order, anywhere, taken

HIDDEN = -1
"""In place of a label that is not to be known."""


def labelled(label: Tensor, limit: float | None, seed: int) -> Tensor:
    """The rows, in order, of those with a label (rows,) that keep it: a whole number spread evenly over them, or a share of each class.

    Of a class the seed draws one row at least, and a smaller share is a part of a larger one.
    """
    known = torch.nonzero(label != HIDDEN)[:, 0]
    if not isinstance(limit, float):
        return known[taken(len(known), limit)]
    rng = torch.Generator().manual_seed(seed)
    drawn = []
    for rows in (torch.nonzero(label == number)[:, 0] for number in label[known].unique()):
        drawn.append(rows[torch.randperm(len(rows), generator=rng)][: max(1, round(limit * len(rows)))])
    return torch.cat(drawn).sort().values


def drawn_from(rows: Tensor, size: int) -> Order:
    """Batches of `size` of some `rows` that differ by one row at the most, in any order."""
    order = anywhere(len(rows), size)
    return Order(lambda rng: (rows[places] for places in order.draw(rng)), order.length)


def beside(known: Order, rest: Tensor, count: int) -> Order:
    """The batches of `known`, to each of them `count` of the `rest` (rows,).

    A pass ends when every row of both has been seen; the shorter of the two begins anew as often as it takes, in another order.
    """
    length = max(known.length, -(-len(rest) // count))

    def draw(rng: torch.Generator) -> Iterator[Tensor]:
        others = _anew(rest, length * count, rng).split(count)
        batches = (batch for _ in range(-(-length // known.length)) for batch in known.draw(rng))
        return (torch.cat(pair) for pair in zip(batches, others, strict=False))

    return Order(draw, length)


def _anew(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """`count` of them, all of them in a random order before one comes again."""
    orders = [torch.randperm(len(rows), generator=rng) for _ in range(-(-count // len(rows)))]
    return rows[torch.cat(orders)[:count]]
