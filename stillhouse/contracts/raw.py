"""The bytes of a raw file: only of a regular one, within the raw folder, and of no more than a stated size, packed or not."""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import zlib
from itertools import islice
from pathlib import Path

from stillhouse.contracts.errors import UserError

LARGEST = 2**28
"""The most bytes of a raw file that is read whole (256 MiB), and of what it unpacks to."""
_CACHED = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
"""Where DVC keeps a file's bytes: with `cache.type: symlink` the files of a workspace are links to there."""


def content(path: Path, within: Path | None = None, most: int = LARGEST) -> bytes:
    """All bytes of a file; never waits for a pipe or a device. Memory: the file's size, `most` at most.

    Raises UserError, beginning with the path, where it is no regular file, cannot be opened, is larger, or is a link out of `within`.
    """
    try:
        real = path.resolve(strict=True)
        if within and not (real.is_relative_to(within.resolve()) or _CACHED.search(real.as_posix())):
            raise UserError(f"{path} - wanted a file within {within} - got a link that leads out of it")
        with open(real, "rb", opener=_patient) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise UserError(f"{path} - wanted a regular file - got a folder, a pipe or a device")
            if state.st_size > most:
                raise UserError(f"{path} - wanted a file of {most} bytes at most - got {state.st_size}")
            return file.read(most)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path} - wanted a file that can be read - {words}") from None


def regular(path: Path, within: Path) -> None:
    """Raises UserError, beginning with the path, unless it is a folder or a regular file and no link out of `within`."""
    try:
        real = path.resolve(strict=True)
        kind = real.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} - wanted a file that can be read - {getattr(error, 'strerror', None) or error}") from None
    if not (real.is_relative_to(within.resolve()) or _CACHED.search(real.as_posix())):
        raise UserError(f"{path} - wanted a file within {within} - got a link that leads out of it")
    if not (stat.S_ISREG(kind) or (stat.S_ISDIR(kind) and not path.is_symlink())):
        raise UserError(f"{path} - wanted a regular file - got a link to a folder, a pipe or a device")


def below(folder: Path, most: int) -> list[Path]:
    """All files and folders in a folder and in those within it, unsorted.

    Raises UserError, beginning with the path, where there are more than `most`, before the rest is looked at, and at a link to a folder
    within: what lies there would be passed over. Hidden ones are.
    """
    try:
        found = list(islice(folder.rglob("*"), most + 1))
    except OSError as error:
        raise UserError(f"{folder} - wanted a folder that stays as it is while it is read - {error.strerror}: {error.filename}") from None
    if len(found) > most:
        raise UserError(f"{folder} - wanted a folder that holds at most {most} files and folders - got more")
    if link := next((path for path in sorted(found) if path.is_symlink() and path.is_dir() and not path.name.startswith(".")), None):
        raise UserError(f"{link} - wanted a folder - got a link to one, which is not followed: put the folder itself there")
    return found


def unpacked(place: str, packed: bytes) -> bytes:
    """What gzip packed, `LARGEST` bytes at most. Raises UserError, beginning with `place`, at more, and at what is not packed so."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            found = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{place} - wanted a gzip file - {error}") from None
    if len(found) > LARGEST:
        raise UserError(f"{place} - wanted at most {LARGEST} bytes when unpacked - got more")
    return found


def _patient(path: str, flags: int) -> int:
    """Opens without waiting for a writer, as a pipe would have it."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
