"""DVC's own command line, for what is no stage: pushing, pulling, settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.record import quietly

SHOWN = 300
"""Characters of what DVC says that are shown: the end, which has the reason."""


def dvc(folder: Path, *words: str) -> str:
    """What DVC prints. Raises UserError with its words where it fails."""
    command = quietly.command("dvc", "--wait-for-lock", *words)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(hide(f"dvc {' '.join(words)[:SHOWN]}: {' '.join(done.stderr.split())[-SHOWN:]}"))
    return done.stdout.strip()
