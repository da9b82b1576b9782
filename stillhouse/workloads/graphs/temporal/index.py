"""Columns of a series in CSV that hold no values but say when a line was: an index, which is left out.

A column is an index if its heading is one of `HEADINGS`, if every cell is a date and none is a number, or if it is the first of
several and counts the lines by whole numbers: each one more than that above, or under one of the headings `COUNTED` each more than
that. An empty heading is what pandas writes over an index. A warning names what is left out: a node may have such a name, and is then
taken by naming it in `columns`. Another one is given where lines are missing, as each line is one step, however long it took.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from stillhouse.contracts import texts
from stillhouse.contracts.faults import refuse_all

HEADINGS = frozenset({"", "date", "datetime", "time", "timestamp"})
COUNTED = frozenset({"step", "index", "unnamed: 0", "hour", "day", "week", "month", "year"})


def index_columns(header: Sequence[str], lines: Sequence[Sequence[str]], where: Callable[[int], str], place: str) -> set[int]:
    """The positions of these columns. Raises UserError with all lines that are not later than the line before, as far as can be told."""
    found = {column for column, name in enumerate(header) if lines and _is_index(name, [line[column] for line in lines])}
    if len(header) > 1 and _counts(header[0], [line[0] for line in lines]):
        found.add(0)
    for column in found:
        message = f"{place}: column {header[column]!r} is taken for an index of the steps; name columns in `read.columns` to take others"
        warnings.warn(message, stacklevel=2)
        _check_order([line[column] for line in lines], where, place)
    return found


def _is_index(name: str, cells: Sequence[str]) -> bool:
    return name.lower() in HEADINGS or (number(cells[0]) is None and all(_date(cell) is not None for cell in cells))


def _counts(name: str, cells: Sequence[str]) -> bool:
    """Whether whole numbers go up, by one unless the heading says that they count; two of them say too little."""
    if len(cells) < 3 or not all(cell.isascii() and cell.removeprefix("-").isdecimal() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    steps = {after - before for before, after in pairwise(numbers)}
    return steps == {1} or (name.lower() in COUNTED and min(steps) > 0)


def _check_order(cells: Sequence[str], where: Callable[[int], str], place: str) -> None:
    times = _known([number(cell) for cell in cells]) or _known([_date(cell) for cell in cells])
    wrong = [row for row in range(1, len(times)) if not times[row] > times[row - 1]]
    refuse_all(len(wrong), lambda index: f"{where(wrong[index])} - wanted a later step than the line before - got {cells[wrong[index]]!r}")
    steps = [after - before for before, after in pairwise(times)]
    usual = Counter(steps).most_common(1)[0][0] if steps else 0
    if gaps := [row for row, step in enumerate(steps, start=1) if step > 1.5 * usual]:
        found = f"before {where(gaps[0])}, {cells[gaps[0]]!r:.40}, and at {len(gaps)} places in all"
        warnings.warn(f"{place}: lines seem to be missing {found}; each line is taken as one step", stacklevel=3)


def _known(times: list[float | None]) -> list[float]:
    """All of them; none if one is not known."""
    return [] if None in times else [time for time in times if time is not None]


def number(cell: str) -> float | None:
    """What a cell says as a number, if it is one."""
    try:
        return texts.number(cell)
    except ValueError:
        return None


def _date(cell: str) -> float | None:
    """Seconds; ISO 8601, also with / between year, month and day, in UTC where it does not say."""
    try:
        time = datetime.fromisoformat(cell.replace("/", "-"))
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC).timestamp()
