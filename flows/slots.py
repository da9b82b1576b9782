"""The GPUs of this machine as file locks: the kernel frees one at any end of its holder, and each says which device it is."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO
from urllib.parse import quote

from stillhouse.contracts.errors import UserError

FOLDER = Path(tempfile.gettempdir()) / f"stillhouse-gpus-{os.getuid()}"
_WISH = re.compile(r"auto|cpu|cuda(:\d+)?")
POLL = 0.2
"""Seconds between two looks at busy devices."""


def devices() -> tuple[str, ...]:
    """The CUDA devices that stages may use: of those that this process sees, the one that STILLHOUSE_DEVICE names, if it names one.

    Raises UserError if it names one that there is not, or none at all.
    """
    wanted = os.environ.get("STILLHOUSE_DEVICE", "auto")
    if not _WISH.fullmatch(wanted):  # before any work: each stage would find it out for itself
        raise UserError(f"STILLHOUSE_DEVICE should be auto, cpu, cuda or cuda:<number> - got {wanted!r}")
    kind, _, number = wanted.partition(":")
    seen = _visible() if kind != "cpu" else ()
    if not number.isdecimal():
        return seen
    if int(number) >= len(seen):
        raise UserError(f"STILLHOUSE_DEVICE - wanted one of {len(seen)} CUDA devices, counted from 0 - got {kind}:{number}")
    return (seen[int(number)],)


def _visible() -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name for name in visible.split(",") if name not in ("", "-1"))
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(sorted(numbers, key=int))


@contextmanager
def hold(wanted: int, available: Sequence[str], stop: Event) -> Iterator[dict[str, str]]:
    """Waits for `wanted` free devices (or all there are) and yields the environment of a stage that may use just those.

    Stages that want one, or a machine without any, are not held up. The wait ends early, with nothing held, when `stop` is set.
    """
    with ExitStack() as stack:
        count = min(wanted, len(available))
        while count and not (held := _try(count, available, stack)) and not stop.wait(POLL):
            pass
        yield _environment(held) if count and held else {}


def _environment(held: Sequence[str]) -> dict[str, str]:
    """The stage sees its devices alone and counts them from 0, whatever their number was."""
    named = os.environ.get("STILLHOUSE_DEVICE", "").startswith("cuda:")
    return {"CUDA_VISIBLE_DEVICES": ",".join(held), **({"STILLHOUSE_DEVICE": "cuda"} if named else {})}


def _try(count: int, available: Sequence[str], stack: ExitStack) -> list[str]:
    """All of `count` devices or none: two stages that each hold half of what they want would wait for ever."""
    _make_folder()
    with ExitStack() as tried:
        held: list[str] = []
        for name in available:
            if len(held) < count and _lock(tried.enter_context(_open(name))):
                held.append(name)
        if len(held) < count:
            return []
        stack.enter_context(tried.pop_all())
        return held


def _make_folder() -> None:
    """Others can write where it lies: what one of them has put there under this name is not used. Raises UserError."""
    with suppress(FileExistsError):
        FOLDER.mkdir(mode=0o700)
    found = FOLDER.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UserError(
            f"{FOLDER} - wanted a folder that is yours and that only you can write to - remove it, or set TMPDIR to another one"
        )


def _open(name: str) -> IO[str]:
    """A device's file, never by a link to another one, and as it is: names of devices may have slashes."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(FOLDER / f"{quote(name, safe='')}.lock", flags, 0o600), "r+")
    except OSError as error:
        raise UserError(f"{FOLDER} - wanted a file of one's own for device {name} - {error.strerror} - remove the folder") from None


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
