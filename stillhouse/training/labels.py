"""Training examples that keep their label, and the others, which ride along without one for a teacher to answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.training.rows import Order, anywhere, taken

HIDDEN = -1
"""In place of a label that is not to be known."""


class FewLabels(Settings):
    """How many training examples keep their label, and how many others ride along."""

    train_limit: int | float | None = None
    """Train on so many examples (2 at least), spread evenly over the table, or on that share of each class (0.01, or 1.0 for all), drawn
    by `labels_seed`, of which a smaller share is a part of a larger one; None takes all."""
    labels_seed: int = Field(0, ge=0)
    unlabelled: int = Field(0, ge=0)
    """How many of the other training examples, at most all, each training batch carries beside its `batch_size`, without their labels: the
    task's loss leaves them out, and a teacher is asked about them. A pass then ends when every example has been seen, and the fewer ones
    come again."""

    @field_validator("train_limit", mode="before")
    @classmethod
    def _number_or_share(cls, value: Any) -> Any:
        most = {int: math.inf, float: 1, type(None): 0}.get(type(value))
        if most is None or (most and not 0 < value <= most):
            raise ValueError("should be a number of examples, or a share of them above 0 and up to 1.0")
        if most == math.inf and value == 1:  # DVC would not see a change between the two
            raise ValueError("should be 1.0 for all examples, or a number of them from 2, which DVC can tell apart: got 1")
        return value

    @field_validator("unlabelled", mode="before")
    @classmethod
    def _how_many(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("should be how many examples each batch carries (whether -1 means no label, is said in `prepare`)")
        return value


def order(settings: FewLabels, label: Tensor, size: int, plain: Callable[[int | None], Order]) -> tuple[Order, Tensor]:
    """Which rows are in each batch of `size` known ones, and which of all (rows,) keep their label (rows,).

    `plain` is the order of a table of which a whole number of rows, or all, are trained on. Raises UserError if examples shall ride
    along and all have a label.
    """
    limit, known = settings.train_limit, torch.zeros(len(label), dtype=torch.bool)
    known[labelled(label, limit, settings.labels_seed)] = True
    dealt, rest = drawn_from(known.nonzero()[:, 0], size), (~known).nonzero()[:, 0]
    found = dealt if isinstance(limit, float) or bool((label == HIDDEN).any()) else plain(limit)
    if settings.unlabelled and not len(rest) and limit is None:
        wanted = "wanted training examples without a label to ride along"
        raise UserError(f"data.unlabelled - {wanted} - all have one: say by data.train_limit how many keep it")
    return (beside(found, rest, min(settings.unlabelled, len(rest))) if settings.unlabelled and len(rest) else found), known


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
