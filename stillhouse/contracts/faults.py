"""All that is wrong with the files of a data set told at once, in a message of bounded length."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from stillhouse.contracts.errors import UserError, shortened

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 20
"""So many faults are told; the others are counted."""
_PLACE, _WORDS = 200, 400
"""The most characters of the place and of the rest of a line."""


class Faults(UserError):
    """One fault or more, each a line "place - what is wanted - what was got"; a single one reads like any other UserError."""

    def __init__(self, lines: list[str], count: int) -> None:
        self.lines, self.count = [_bounded(line) for line in lines[:MOST]], count
        told = f", the first {MOST} are named" if count > MOST else ""
        super().__init__("\n".join([*self.lines, f"{count} faults in all{told}"] if count > 1 else self.lines))


class Last(UserError):
    """A fault after which no others are looked for."""


def every(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """A function of all items. Raises UserError that tells of all items at which the function raised one, a `Last` at once."""
    results: list[Result] = []
    lines: list[str] = []
    count = 0
    for item in items:
        try:
            results.append(function(item))
        except Last:
            raise
        except UserError as error:
            told, more = (error.lines, error.count) if isinstance(error, Faults) else ([str(error)], 1)
            lines, count = [*lines, *told][:MOST], count + more
    if count:
        raise Faults(lines, count)
    return results


def refuse_all(count: int, line: Callable[[int], str]) -> None:
    """Raises UserError that tells of `count` faults, with the lines of the first of them; does nothing if there are none."""
    if count:
        raise Faults([line(index) for index in range(min(count, MOST))], count)


def _bounded(line: str) -> str:
    place, dash, words = " ".join(line.splitlines()).partition(" - ")
    return shortened(place, _PLACE) + dash + shortened(words, _WORDS)
