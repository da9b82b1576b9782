"""How long stages took when they last did their work in this folder, by whatever they were run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json

_FILE = "seconds.json"


def note(folder: Path, stage: str, seconds: float) -> None:
    """Keeps how long a stage took that has just done its work."""
    write_json(folder / ".work" / stage / _FILE, round(seconds, 1))


def noted(folder: Path) -> Iterator[tuple[float, str, float]]:
    """(time of the last run, stage, seconds); a file that cannot be read is as good as none."""
    for path in (folder / ".work").glob(f"*/{_FILE}"):
        with suppress(OSError, UserError, TypeError, ValueError):
            yield path.stat().st_mtime, path.parent.name, float(read_json(path))
