"""Which files of a folder are pictures: nothing that may be one is passed over in silence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every, shortened
from stillhouse.contracts.raw import below

SUFFIXES = (".jpeg", ".jpg", ".png")
"""The suffixes of files that are pictures, in small letters."""
_OTHERS = re.compile(
    r"\.(apng|arw|avif|bmp|cr2|cr3|dcm|dds|dib|dng|eps|exr|gif|hdr|hei[cf]|ico|j2k|jfif|jp2|jpe|jpx|jxl|mpo|nef|npy|orf"
    r"|p[bgnp]m|pcx|psd|raf|raw|rw2|svg|tga|tiff?|webp|xbm|xcf)"
)
"""Those of pictures in formats that are not read."""
_ASIDE = ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini")
"""What operating systems leave, beside names that begin with a point."""
MOST = 2**22
"""The most files and folders in a folder of pictures."""


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without those that operating systems and editors leave."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not _is_aside(path.name)]


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder and in those within it; warns of files that are none.

    Raises UserError naming all pictures of formats that are not read, or where the folder holds more than `MOST` files.
    """
    found = [path for path in sorted(below(folder, MOST)) if not any(map(_is_aside, path.relative_to(folder).parts))]
    every(_check_format, found)
    pictures = [path for path in found if path.suffix.lower() in SUFFIXES]
    if pictures:
        _warn(folder, [path for path in found if path.suffix.lower() not in SUFFIXES and not path.is_dir()])
    return pictures


def no_pictures_in(folder: Path, wanted: str) -> None:
    """Raises UserError naming all pictures that lie in a folder itself, and not in one of the folders that are `wanted` there."""
    every(lambda path: _misplaced(path, wanted), sorted(path for path in folder.iterdir() if not _is_aside(path.name)))


def _misplaced(path: Path, wanted: str) -> None:
    if _is_picture(path) and not path.is_dir():
        raise UserError(f"{path} - wanted pictures in {wanted} - got one beside them: move it, or take it away")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or _OTHERS.fullmatch(path.suffix.lower()) is not None


def _is_aside(name: str) -> bool:
    return name.startswith(".") or name in _ASIDE


def _check_format(path: Path) -> None:
    if _OTHERS.fullmatch(path.suffix.lower()) and not path.is_dir():
        raise UserError(f"{path} - wanted pictures as {', '.join(SUFFIXES)} - got {path.suffix}: convert it or take it away")


def _warn(folder: Path, others: Sequence[Path]) -> None:
    if others:
        names = shortened(", ".join(path.name for path in others[:3]), 200)
        warnings.warn(f"{folder} - left out what is no picture: {names}{', ...' * (len(others) > 3)}", stacklevel=3)
