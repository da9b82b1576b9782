"""Text files from outside: which bytes are text, where its lines end, and which texts are numbers."""

from __future__ import annotations

import codecs
import re

from stillhouse.contracts.errors import UserError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_END = re.compile(r"\r\n|\r|\n")


def decoded(place: str, content: bytes) -> str:
    """A file's bytes in UTF-8 as text, without the byte-order mark. Raises UserError, beginning with `place`, where they are none.

    The character 0 is refused: UTF-16 without a mark reads as UTF-8 with one of them at every second place.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = ": it begins as UTF-16, save it as UTF-8" if content.startswith(_WIDE) else ""
        raise UserError(f"{place} - wanted UTF-8 text - byte {error.start} is not{remedy}") from None
    if (first := text.find("\0")) >= 0:
        line = len(_END.split(text[:first]))
        raise UserError(f"{place}:{line} - wanted UTF-8 text - got the character 0, as UTF-16 and binary files have it: save it as UTF-8")
    return text


def lines(text: str) -> list[str]:
    """The lines without their ends, which are those of Unix, Windows and old Macs: other characters belong to what is written."""
    found = _END.split(text)
    return found if found[-1] else found[:-1]


def number(text: str) -> float:
    """What a cell says as a number. Raises ValueError where it is none: `1_0` is ten in Python alone."""
    if "_" in text:
        raise ValueError(text)
    return float(text)
