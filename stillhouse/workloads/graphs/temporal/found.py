"""What every form of raw data comes down to before its events are sorted, and the checks that the forms share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.raw import unpacked
from stillhouse.contracts.texts import decoded, number
from stillhouse.workloads.graphs.temporal.missing import REMEDY, Missing, is_missing
from stillhouse.workloads.graphs.temporal.panel import Events, Graphs


@dataclass(frozen=True, eq=False)
class Found:
    """Series (nodes, steps, channels), the names of the channels, and edges in any order, perhaps repeated."""

    features: Tensor
    channels: tuple[str, ...]
    events: Events
    static: bool
    graphs: Graphs | None = None


def text(place: str, content: bytes) -> str:
    """The text of a file, unpacked if its name ends in .gz. Raises UserError when it is packed or encoded otherwise."""
    plain = unpacked(place, content) if place.endswith(".gz") else content
    return decoded(place, plain)


def matrix(
    rows: Any, where: Callable[[int], str], width: int | None = None, names: Sequence[str] = (), missing: Missing | None = None
) -> Tensor:
    """(rows, width), float64, of lists of numbers or of their text; `where` gives the place of a row, `names` those of the columns.

    Of a series, `missing` says what becomes of missing cells: they are NaN unless they are refused.

    Raises UserError with the places of all rows that have another width than the first, or of all cells that hold something
    other than finite numbers.
    """
    width = len(rows[0]) if width is None and rows and isinstance(rows[0], list) else width or 0
    every(lambda pair: _check_row(*pair, where, width), enumerate(rows))
    if not rows:
        return torch.zeros(0, width, dtype=torch.float64)
    if kept := missing in ("interpolate", "mask"):
        rows = [[np.nan if is_missing(cell) else cell for cell in row] for row in rows]
    try:
        values = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.asarray(np.nan)
    plain = not any(isinstance(cell, str) and "_" in cell for row in rows for cell in row)  # which NumPy reads over
    if not plain or values.shape != (len(rows), width) or not (np.isfinite(values) | (kept & np.isnan(values))).all():
        remedy = f"; {REMEDY}" if missing == "refuse" else ""
        cells = (
            (index, column, cell) for index, row in enumerate(rows) for column, cell in enumerate(row) if not (kept and is_missing(cell))
        )
        every(lambda found: _check_cell(*found, where, names, remedy), cells)
    return torch.from_numpy(values)


def whole(values: Tensor, where: Callable[[int], str]) -> Tensor:
    """The same values as int64. Raises UserError with the place of the first row that holds another number."""
    wrong = values != values.round()
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        raise UserError(f"{where(row)} - wanted whole numbers - got {values[row].tolist()}")
    return values.to(torch.int64)


def positions(names: Sequence[Hashable], place: str) -> dict[Hashable, int]:
    """The position of each name. Raises UserError when two are the same."""
    found: dict[Hashable, int] = {}
    for position, name in enumerate(names):
        if found.setdefault(name, position) != position:
            raise UserError(f"{place} - wanted a name for each node - nodes {found[name]} and {position} are both {name!r}")
    return found


def nodes(ends: Sequence[str], known: Mapping[Hashable, int], where: Callable[[int], str]) -> Tensor:
    """(ends,), int64: nodes by name or, where none of `ends` is a name, by position; raises UserError with the places of all others."""
    by_name = any(end in known for end in ends)
    if not by_name:
        known = {str(position): position for position in range(len(known))}

    def number(numbered: tuple[int, str]) -> int:
        index, end = numbered
        if end not in known:
            wanted = (
                "the name of a node of the series" if by_name else f"a node of the series by name or by its position, 0 to {len(known) - 1}"
            )
            raise UserError(f"{where(index)} - wanted {wanted} - got {end!r}")
        return known[end]

    return torch.tensor(every(number, enumerate(ends)), dtype=torch.int64)


def _check_row(index: int, row: Any, where: Callable[[int], str], width: int) -> None:
    if not isinstance(row, list) or len(row) != width:
        raise UserError(f"{where(index)} - wanted a row of {width} numbers - got {_short(row)}")


def _check_cell(index: int, column: int, cell: Any, where: Callable[[int], str], names: Sequence[str], remedy: str) -> None:
    if not _is_finite(cell):
        name = f"column {names[column]!r}" if names else f"number {column + 1}"
        raise UserError(f"{where(index)}, {name} - wanted a finite number - got {_short(cell)}{remedy if is_missing(cell) else ''}")


def _is_finite(cell: Any) -> bool:
    try:
        return bool(np.isfinite(number(cell) if isinstance(cell, str) else float(cell)))
    except (TypeError, ValueError, OverflowError):
        return False


def _short(value: Any) -> str:
    shown = repr(value)
    count = f" ({len(value)} in all)" if isinstance(value, list) else ""
    return shown if len(shown) <= 60 else f"{shown[:60]}...{count}"
