"""The pipeline of this repository killed at random moments until it has ended, compared with one that was let alone.

Each time another process of the execution is killed with SIGKILL, and it is started again if it has ended; at the end it goes on until it
ends well.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks import faults
from benchmarks._faults import WORDS, Trial

name = "kills"
expected_seconds = 3600
settings: dict[str, Any] = {"count": 10, "seed": 1, "names": "", "limit": 7200.0}
"""`names`: teachers and students, separated by commas, "" for all; `limit`: seconds after which an execution counts as hanging."""

ROOT = Path(__file__).parents[1]


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """How many times it was killed, and how many outputs have other bytes or are not as they should be elsewhere."""
    rng = random.Random(settings["seed"])
    with tempfile.TemporaryDirectory() as folder:
        template, project = Path(folder) / "template", Path(folder) / "project"
        make(template)
        seconds, wanted = let_alone(template, project)
        faults.restore(template, project)
        trial, began = trial_of(project, seconds / settings["count"], rng), time.monotonic()
        struck = killed(trial)
        status = next((0 for _ in range(faults.TRIES) if trial.end(trial.start()) == 0), 1)
        wrong = faults.other(wanted, faults.contents(project)) + faults.left_behind(trial)
        wrong += ["the execution hung"] * trial.hung + [f"no success in {faults.TRIES} tries"] * status
        taken = time.monotonic() - began
    print("\n".join(wrong) or f"{len(wanted)} files as without kills")
    values = {"kills": struck, "wrong": len(wrong), "outputs": len(wanted), "seconds undisturbed": seconds, "seconds with kills": taken}
    method = settings["names"] or "all"
    return [
        {"set": "default", "method": method, "metric": metric, "mean": value, "sd": 0.0, "seeds": 1} for metric, value in values.items()
    ]


def killed(trial: Trial) -> int:
    """Kills a random process of the execution at random moments, starts again what has ended by that, and counts the kills."""
    process, struck = trial.start(), 0
    while struck < settings["count"]:
        trial.sleep(process)
        if process.poll() == 0:
            break  # all is done
        living = [found for kind in WORDS for found in trial.processes(kind)]
        if process.poll() is None and living:
            with suppress(psutil.NoSuchProcess):
                trial.rng.choice(living).kill()
                struck += 1
        elif process.poll() is not None:
            process = trial.start()
    trial.end(process)
    return struck


def exit_status(rows: list[dict[str, Any]]) -> int:
    """1 if anything is not as without kills, or all was done before so many kills."""
    values = {row["metric"]: row["mean"] for row in rows}
    return int(values["wrong"] > 0 or values["kills"] < settings["count"])


def make(place: Path) -> None:
    """A copy of what git has of this repository, as a project in which nothing has run."""
    for path in subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if path and not path.startswith(("tests/", "docs/", "notebooks/", "benchmarks/")):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, place / path, follow_symlinks=False)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=place, check=True)


def let_alone(template: Path, project: Path) -> tuple[float, dict[str, str]]:
    """How long an execution takes, and what it makes.

    Raises:
        RuntimeError: it fails by itself.
    """
    faults.restore(template, project)
    trial, began = trial_of(project, 0.0, random.Random(0)), time.monotonic()
    if trial.end(trial.start()):
        raise RuntimeError(f"the execution fails without any kill: {trial.said.read_text()}")
    return time.monotonic() - began, faults.contents(project)


def trial_of(project: Path, seconds: float, rng: random.Random) -> Trial:
    """An execution of the chosen names."""
    return Trial(project, seconds, rng, tuple(name for name in str(settings["names"]).split(",") if name), settings["limit"])
