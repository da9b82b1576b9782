"""The line of somebody's part at which an error was raised, so that whoever wrote the part finds it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path

_TOLD = re.compile(r'^  File "(.+)", line (\d+), in ', re.MULTILINE)
"""A line of a traceback that another process has sent as text."""


def last(error: BaseException, packages: Collection[str]) -> str:
    """`FILE:LINE` of the last line of those packages that was running when the error, or what led to it, was raised; "" for none."""
    for cause in causes(error):
        if lines := [*_running(cause, packages), *_sent(cause, packages)]:
            return lines[-1]
    return ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def ends(error: BaseException) -> bool:
    """Whether it is no mistake of a part's: somebody, or this library, ends what is running."""
    return isinstance(error, KeyboardInterrupt | GeneratorExit) or type(error).__module__.startswith("stillhouse.")


def said(error: BaseException) -> str:
    """What an error says; "" where its text cannot be made."""
    try:
        return str(error)
    except Exception:
        return ""


def shown(file: str) -> str:
    """A file's path, from the working folder on if it lies there."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def words(error: BaseException) -> str:
    """An error in one line: its kind, and what it says."""
    text = said(error)
    line = text.strip().rpartition("\n")[2] if _TOLD.search(text) else f"{type(error).__name__}: {text}"
    return " ".join(line.split()).removesuffix(":")


def _running(error: BaseException, packages: Collection[str]) -> Iterator[str]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            yield f"{shown(frame.f_code.co_filename)}:{line}"


def _sent(error: BaseException, packages: Collection[str]) -> Iterator[str]:
    for file, line in _TOLD.findall(said(error)):
        if any(Path(file).is_relative_to(Path.cwd() / package) or f"site-packages/{package}/" in file for package in packages):
            yield f"{shown(file)}:{line}"
