"""Room on the disks of a project: asked for before work begins, and named when there was none left.

Three folders may lie on three disks: `.work` with the scratch, `data`, and DVC's cache. What is asked for is a guess, what was made the
last time; so a disk may still fill up during the work, and then the libraries that write say so in words of their own.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.lines import causes, said

PLACES = (".work", "data", ".dvc/cache")
RESERVE = 64
"""Million bytes that must be free beside the size of the expected output, for checkpoints, logs and databases; the environment variable
`STILLHOUSE_DISK_RESERVE_MB` has another number, 0 asks for nothing."""
_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WORDS = re.compile(r"No space left on device|[Dd]isk quota exceeded|database or disk is full|File too large")
_MEGA = 1_000_000


def require(root: Path, expected: int = 0) -> None:
    """Makes sure that every disk of the project in `root` has room for `expected` bytes and the reserve.

    Raises:
        UserError: one has not.
    """
    reserve = _reserve()
    wanted = expected + reserve
    lacking = [f"{name} {_mega(free)}" for name, free in _free(root) if reserve and free < wanted]
    if lacking:
        raise UserError(
            f"too little room on disk: {', '.join(lacking)} free - wanted {_mega(wanted)} (the last output with "
            f"{_mega(expected)}, and a reserve): make room, or set STILLHOUSE_DISK_RESERVE_MB"
        )


def told(error: BaseException, root: Path) -> str | None:
    """One sentence for an error, or one that led to it, that came of a full disk: what is free where; None for any other error."""
    full = next(_full(error), None)
    if full is None:
        return None
    name = getattr(full, "filename", None)
    place = f" at {os.fsdecode(name)}" if isinstance(name, str | bytes) else ""
    return (
        f"the disk is full{place} ({' '.join(str(full).split())[:200]}); {state(root)}: make room and run it again, it goes on from there"
    )


def is_full(error: BaseException) -> bool:
    """Whether an error came of a full disk."""
    return any(_full(error))


def state(root: Path) -> str:
    """How much is free in each place."""
    return "free are " + ", ".join(f"{_mega(free)} in {name}" for name, free in _free(root))


def short(root: Path) -> str:
    """The same where a disk has less than a million bytes free, which explains most failures; "" where none has."""
    return state(root) if any(free < _MEGA for _, free in _free(root)) else ""


def size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _free(root: Path) -> Iterator[tuple[str, int]]:
    """A folder that is not there yet will lie where the nearest one above it does."""
    for name in PLACES:
        place = root / name
        yield name, shutil.disk_usage(next(folder for folder in (place, *place.absolute().parents) if folder.exists())).free


def _reserve() -> int:
    """In bytes."""
    given = os.environ.get("STILLHOUSE_DISK_RESERVE_MB", str(RESERVE))
    if not given.isdecimal():
        raise UserError(f"STILLHOUSE_DISK_RESERVE_MB should be a whole number of million bytes from 0 on - got {given!r}")
    return int(given) * _MEGA


def _full(error: BaseException) -> Iterator[BaseException]:
    """The error, or what led to it, that says so."""
    for cause in causes(error):
        if (isinstance(cause, OSError) and cause.errno in _NUMBERS) or _WORDS.search(said(cause)):
            yield cause


def _mega(count: int) -> str:
    return f"{count / _MEGA:,.1f} MB"
