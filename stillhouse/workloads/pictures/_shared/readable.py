"""Pictures that can be read, and what is done about those that cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import numpy as np

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every

Bad = Literal["refuse", "skip"]
"""All pictures that cannot be read are named and nothing is prepared; or they are left out and counted."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def readable(items: Iterable[Item], decode: Callable[[Item], Result], keep: Callable[[Item, Result], None], bad: Bad) -> np.ndarray:
    """Has `keep` see to what `decode` makes of items; returns the rows of those that it read.

    Raises UserError that tells all that `keep` refuses, and all that `decode` does unless they are skipped; then if none is left.
    """
    rows: list[int] = []
    skipped: list[UserError] = []

    def add(numbered: tuple[int, Item]) -> None:
        try:
            result = decode(numbered[1])
        except UserError as error:
            if bad == "refuse":
                raise
            skipped[1:] = [error]
            return
        keep(numbered[1], result)
        rows.append(numbered[0])

    every(add, enumerate(items))
    if not rows and skipped:
        raise skipped[0]
    return np.array(rows, dtype=np.int64)


def counted(bad: Bad, skipped: Iterable[int]) -> Metrics:
    """How many pictures of all splits are left out, as a metric where that may happen."""
    return {"skipped_pictures": float(sum(skipped))} if bad == "skip" else {}
