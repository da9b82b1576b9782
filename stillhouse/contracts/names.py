"""What names something in a table from outside, whatever type its column has, and names that look alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from stillhouse.contracts.errors import UserError

_WHOLE = 2**53
"""Up to here numbers with a fraction hold every whole number."""


def name(cell: object) -> str | None:
    """A text without the blanks around it, or a whole number, as a text; None where a cell names nothing.

    1.0 is the name 1: a column of whole numbers in which one is missing is written as numbers with a fraction.
    """
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) <= _WHOLE else None
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else None


def require_distinct(names: Iterable[object], place: str) -> None:
    """Raises UserError, beginning with `place`, at an empty name of a class, and at two that a reader cannot tell apart.

    They differ in blanks around them, or in how an accent is coded.
    """
    known: dict[str, str] = {}
    for each in sorted(one for one in names if isinstance(one, str)):  # of a set too the same ones are named
        plain = unicodedata.normalize("NFC", each).strip()
        if not plain:
            raise UserError(f"{place} - wanted a name of each class - got {each!r:.100}")
        if known.setdefault(plain, each) != each:
            got = f"{known[plain]!r:.100} and {each!r:.100}"
            raise UserError(f"{place} - wanted classes whose names can be told apart - got {got}: write them alike")
