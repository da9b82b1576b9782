"""One batch in several parts, for several devices or one after the other, and what each counts for in the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic

from torch import Tensor

from stillhouse.contracts.data import Batch
from stillhouse.contracts.output import Output


@dataclass(frozen=True)
class Part(Generic[Batch]):
    """A part of a batch: how many `rows` it has, and how much of what the task's loss is a mean over (`counted`)."""

    batch: Batch
    rows: int
    counted: float


@dataclass(frozen=True)
class Share:
    """What a part counts for in the step's loss: its share of the `rows`, and of what the task's `loss` is a mean over.

    What belongs to a step and not to its rows, such as a price, is counted in the `first` part; `last` is the last part of a process.
    """

    rows: float = 1.0
    loss: float = 1.0
    first: bool = True
    last: bool = True

    def of(self, loss: Callable[[Output, Any], Tensor], output: Output, batch: Any) -> Tensor:
        """What a part adds to the task's loss: nothing where it has nothing that counts, of which a mean would be no number."""
        return self.loss * loss(output, batch) if self.loss else 0 * output.prediction.sum()


WHOLE = Share()
"""Of a batch that is not split."""
Split = Callable[[Any, int], Sequence[Part[Any]]]
"""split(batch, number) -> so many parts of it, in order, which differ by one row at most; fewer rows give empty parts."""


def by_rows(batch: Batch, number: int, names: Sequence[str], counted: Callable[[Batch], float] | None = None) -> list[Part[Batch]]:
    """The parts of a dataclass whose fields of some `names` have a row each along their first axis; the other fields are shared.

    `counted` says how much of what the loss is a mean over there is in a part; None where that is rows.
    """
    columns = {name: getattr(batch, name).tensor_split(number) for name in names}
    parts: list[Part[Batch]] = []
    for index in range(number):
        fields: dict[str, Any] = {name: column[index] for name, column in columns.items()}
        part, rows = replace(batch, **fields), len(fields[names[0]])  # type: ignore[type-var]
        parts.append(Part(part, rows, counted(part) if counted else rows))
    return parts
