"""What people call the splits of their data, in the names of folders and files and in the cells of tables."""

from __future__ import annotations

import re
from typing import Literal, get_args

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SPELLINGS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "validate", "val", "dev"),
    "test": ("test", "testing"),
}
"""In any case of letters."""
_KNOWN: dict[str, Split] = {spelling: split for split, spellings in SPELLINGS.items() for spelling in spellings}
_PART = re.compile(r"[-_.]\d+([-_.]of[-_.]\d+)?$")
"""How a file is numbered that is one of several: `train-00000-of-00002`."""


def split_of(name: object) -> Split | None:
    """The split that a name means; None where it means none."""
    return _KNOWN.get(name.lower()) if isinstance(name, str) else None


def split_of_file(stem: str) -> Split | None:
    """The split that the name of a file means, without its suffix."""
    return split_of(_PART.sub("", stem))


def spelled() -> str:
    """All that is known, for a message."""
    return ", ".join(_KNOWN)
