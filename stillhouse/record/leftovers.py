"""What DVC leaves of a file that it was still writing or linking: when it was killed, or the disk was full."""

from __future__ import annotations

import os
import re
from pathlib import Path

_OF_DVC = re.compile(r".*\.[\w-]{22}\.tmp")


def is_unfinished(path: Path) -> bool:
    """Whether it has the name that DVC gives to a file until it is whole."""
    return bool(_OF_DVC.fullmatch(path.name))


def sweep(folder: Path) -> None:
    """Removes all such files below a folder; nobody may be writing there now."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if name.endswith(".tmp")):
            if is_unfinished(path):
                path.unlink(missing_ok=True)
