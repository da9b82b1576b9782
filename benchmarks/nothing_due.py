"""What it costs to find that nothing is due: our two commands beside DVC's two, on the default pipeline.

The pipeline is set up in a folder of its own, with empty outputs that are committed as if its stages had run; the commands
then take turns, so that a noisy machine is noisy for all of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from dvc.repo import Repo

from benchmarks import kills

name = "nothing_due"
expected_seconds = 45
settings = {"rounds": 12, "warm_up": 2}

COMMANDS = {
    "dvc status": ["dvc", "status"],
    "dvc repro": ["dvc", "repro"],
    "stillhouse plan": ["stillhouse", "plan"],
    "stillhouse run": ["stillhouse", "run"],
}
WORDS = {
    "dvc status": "up to date",
    "dvc repro": "up to date",
    "stillhouse plan": "nothing is due",
    "stillhouse run": "nothing to do",
}


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """Seconds of each command, and the median of its ratio to `dvc status` in the same round."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "project"
        stages = set_up(place)
        rounds = [{method: seconds(method, place) for method in COMMANDS} for _ in range(settings["warm_up"] + settings["rounds"])]
    rounds = rounds[settings["warm_up"] :]
    rows = []
    for method in COMMANDS:
        times = [turn[method] for turn in rounds]
        ratio = [turn[method] / turn["dvc status"] for turn in rounds]
        row = {"set": f"{stages} stages, nothing due", "method": method, "seeds": len(times)}
        rows.append(row | {"metric": "seconds", "mean": mean(times), "sd": stdev(times)})
        rows.append(row | {"metric": "times dvc status (median)", "mean": median(ratio), "sd": stdev(ratio)})
    return rows


def set_up(place: Path) -> int:
    """Makes a repository in which every stage of the default pipeline counts as done; returns their number."""
    kills.make(place)
    with Repo(str(place)) as repo:
        stages = list(repo.index.stages)
        for out in (Path(out.fs_path) for stage in stages for out in stage.outs):
            out.parent.mkdir(parents=True, exist_ok=True)
            if out.suffix:
                out.write_text("{}")
            else:
                out.mkdir()
                (out / "result").write_text(str(out.relative_to(place)))
    subprocess.run([sys.executable, "-m", "dvc", "commit", "--force", "--quiet"], cwd=place, check=True)
    return len(stages)


def seconds(method: str, place: Path) -> float:
    """The wall time of one command as a process of its own.

    Raises:
        RuntimeError: it found something to do, so that its time would say nothing.
    """
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", *COMMANDS[method]], cwd=place, capture_output=True, text=True)
    taken = time.perf_counter() - began
    if done.returncode or WORDS[method] not in done.stdout:
        raise RuntimeError(f"{method} should have found nothing to do, and said: {done.stdout}{done.stderr}")
    return taken
