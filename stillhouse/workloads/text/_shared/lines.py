"""Lines of JSON: an object in each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.faults import every
from stillhouse.contracts.files import parse_json
from stillhouse.contracts.raw import content
from stillhouse.contracts.texts import decoded

Row = tuple[str, dict[str, Any]]
"""A place, and the values by name."""


def lines(path: Path, raw: Path) -> Iterator[Row]:
    """The objects of a file, without empty lines. Raises UserError, naming file and line, at what is none, and as `raw.content` does."""
    written = content(path, raw if raw.is_dir() else None)
    if b"\0" in written:  # as in UTF-16, of which no line is JSON
        decoded(f"{path}", written)
    split = written.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    numbered = ((number, line) for number, line in enumerate(split, start=1) if line.strip())
    yield from every(lambda item: _object(path, *item), numbered)


def _object(path: Path, number: int, line: bytes) -> Row:
    place = f"{path}:{number}"
    try:
        found = parse_json(path, line)
    except UserError as error:
        raise UserError(f"{place} - {str(error).partition(' - ')[2]}") from None
    if not isinstance(found, dict):
        raise UserError(f"{place} - wanted a JSON object in each line - got {shortened(repr(found), 100)}")
    return place, found
