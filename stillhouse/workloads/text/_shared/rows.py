"""A row of a table or an object of JSON as a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.splits import spelled, split_of
from stillhouse.workloads.text._shared.document import Document


@dataclass(frozen=True)
class Columns:
    """Their names, and which values some of them must have."""

    text: str
    label: str
    split: str
    document: str | None
    where: Mapping[str, str | int]

    @property
    def needed(self) -> tuple[str, ...]:
        """Those without which a row is refused."""
        return (self.text, *self.where, *(() if self.document is None else (self.document,)))


def row_document(place: str, row: Mapping[str, Any], columns: Columns, split: str | None, further: Mapping[str, str]) -> Document | None:
    """None where a row is left out; `split` is that of its file, `further` what other names of splits mean.

    Raises UserError, beginning with the place, at a wrong value.
    """
    if missing := next((name for name in columns.needed if name not in row), None):
        raise UserError(f"{place} - wanted a value of {missing!r} - there are {shortened(str(sorted(row)), 200)}")
    if any(str(row[name]) != str(value) for name, value in columns.where.items()):
        return None
    if row.get(columns.split) is not None:
        said = _plain(place, columns.split, row[columns.split])
        split = further.get(str(said)) or split_of(said)
        if split is None:
            known = ", ".join((spelled(), *further))
            raise UserError(f"{place} - wanted a split of {known} (others: `prepare.read.splits`) - got {shortened(repr(said), 100)}")
    if split == "none":
        return None
    label = row.get(columns.label)
    key = None if columns.document is None else _plain(place, columns.document, row[columns.document])
    return Document(place, _text(place, columns.text, row), split, None if label is None else _plain(place, columns.label, label), key)


def _plain(place: str, name: str, value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{place} - wanted a name or a whole number as {name!r} - got {shortened(repr(value), 100)}")
    return _sound(place, name, value) if isinstance(value, str) else value


def _text(place: str, name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise UserError(f"{place} - wanted a text as {name!r} - got {shortened(repr(value), 100)}")
    return _sound(place, name, value)


def _sound(place: str, name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place} - wanted a text that UTF-8 can hold as {name!r} - character {error.start} is half of a pair") from None
    return value
