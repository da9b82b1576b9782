"""The Python that a node runs a job's stages with: its own where that has the job's packages, else one made for that list and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record import packages
from stillhouse.record.process import waiting_lock


def python(home: Path, wanted: Sequence[str]) -> Path:
    """Raises UserError if the packages cannot be installed."""
    if not packages.lacking(wanted):
        return Path(sys.executable)
    name = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
    place = home / "environments" / name
    with waiting_lock(home / "environments" / f"{name}.lock"):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            _make(place, wanted)
            (place / "complete").touch()
    return place / "bin" / "python"


def _make(place: Path, wanted: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--no-deps", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        here = "; ".join(packages.lacking(wanted)[:5])
        words = " ".join(done.stderr.split())[-300:]
        raise UserError(f"this node lacks packages that the project wants ({here}), and pip cannot install them: {words}")
