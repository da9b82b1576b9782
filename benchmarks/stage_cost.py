"""What a stage costs beside its work: a stage that does nothing, and one changed loss weight from command to table.

That change is made twice: by a run that starts Prefect's server for itself, and where `stillhouse up` has started the servers, whose
processor time is then not the run's. Beside it stands what its libraries take to be loaded once each, and Prefect's server to answer.

A project of its own holds a workload whose `prepare` writes one small file, and a tiny teacher and student of the tests. Everything takes
turns in each round, so that a noisy machine is noisy for all; processor time is that of a command with all its children.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import yaml

from benchmarks._engines import port

name = "stage_cost"
expected_seconds = 360
settings = {"rounds": 5, "warm_up": 1}

ROOT = Path(__file__).parents[1]
IDLE = '''"""`prepare` writes one small file; nothing else is ever asked."""

from dataclasses import replace

from parts.workloads.toy import WORKLOAD as TOY


def prepare(settings, raw, prepared, rng):
    (prepared / "file.txt").write_text("done")
    return {"files": 1.0}


WORKLOAD = replace(TOY, prepare=prepare)
'''
BASE = "python -c 'import torch'"
STATUS = "dvc status"
IDLE_STAGE, CHANGED = "a stage that does nothing", "stillhouse run, one changed loss weight"
SERVED = f"{CHANGED}, after stillhouse up"
LOADED = "what one changed loss weight needs, loaded"
LOADS = (
    "import torch",
    "from mlflow import MlflowClient",
    "from prefect import flow, get_client, task",
    "import dvc.repo",
    "from pathlib import Path; from threading import Event; from stillhouse.flows.server import server\n"
    "with server(Path()) as serving: serving.wait(Event())",
)
LOADING = f"""import subprocess, sys
for code in {LOADS!r}:
    quiet = "from stillhouse.record import collector; collector.quiet(); "
    subprocess.run([sys.executable, "-c", quiet + code], check=True)
"""
COMMANDS = {
    BASE: ["-c", "import torch"],
    IDLE_STAGE: ["-m", "stillhouse.stages", "prepare", "idle"],
    LOADED: ["-c", LOADING],
    CHANGED: ["-m", "stillhouse", "run"],
    SERVED: ["-m", "stillhouse", "run"],
    STATUS: ["-m", "dvc", "status"],
    "stillhouse run, nothing due": ["-m", "stillhouse", "run"],
}
BESIDE = {"stillhouse run, nothing due": STATUS}
"""What a command is compared with where that is not the import of torch."""


def run(data: Path | None = None) -> list[dict[str, Any]]:
    """Seconds of each command, of the clock and of the processor, and the median of its ratio to its measure in the same round."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "project"
        set_up(place)
        rounds = [one_round(place, number) for number in range(settings["warm_up"] + settings["rounds"])]
    return [row for method in COMMANDS for row in _rows(method, rounds[settings["warm_up"] :])]


def one_round(place: Path, number: int) -> dict[str, tuple[float, float]]:
    """(seconds of the clock, seconds of the processor) of every command, each after what makes it do its work."""
    found = {}
    for method, command in COMMANDS.items():
        if method == IDLE_STAGE:
            _write(place, number, idle=True)
            measured(["-m", "stillhouse.stages", "check"], place)  # whoever starts stages has done this, once for all
        elif method in (CHANGED, SERVED):
            _write(place, 2 * number + (method == SERVED))
        with _serving(place) if method == SERVED else nullcontext():
            found[method] = measured(command, place)
    return found


@contextmanager
def _serving(place: Path) -> Iterator[None]:
    """The servers of the project, on ports that are free."""
    measured(["-m", "stillhouse", "up", "--prefect-port", str(port()), "--mlflow-port", str(port())], place)
    try:
        yield
    finally:
        measured(["-m", "stillhouse", "down"], place)


def measured(command: list[str], place: Path) -> tuple[float, float]:
    """Seconds of the clock and of the processor of one command as a process of its own.

    Raises:
        RuntimeError: it failed, so that its time would say nothing.
    """
    before, began = _processor(), time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=place, env=_environment(), capture_output=True, text=True)
    taken = time.perf_counter() - began, _processor() - before
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    return taken


def set_up(place: Path) -> None:
    """Makes the project, and runs all of it once."""
    for folder in ("stillhouse", "stages", "flows"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    shutil.copytree(ROOT / "tests/tiny/parts/workloads/toy", place / "parts/workloads/toy", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "parts/workloads/idle").mkdir()
    (place / "parts/workloads/idle/__init__.py").write_text(IDLE)
    for path in ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config"):
        (place / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, place / path)
    (place / "data/raw").mkdir(parents=True)
    shutil.copy(ROOT / "tests/tiny/toy.json", place / "data/raw")
    _write(place, -1)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=place, check=True)
    measured(["-m", "stillhouse", "run"], place)


def _write(place: Path, number: int, *, idle: bool = False) -> None:
    """params.yaml with a weight of the loss, or a noise of the idle teacher, that no earlier round had."""
    params = yaml.safe_load((ROOT / "tests/tiny/params.yaml").read_text())
    student, teacher = params["students"]["half"], params["teachers"]["rings"]
    student["distill"]["losses"][0]["weight"] = 2.0 + number
    params["students"] = {"half": student}
    if idle:
        params["teachers"]["idle"] = {**teacher, "workload": "idle", "prepare": {"noise": 0.2 + number / 100}}
    (place / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _environment() -> dict[str, str]:
    """A stage that is run by hand leaves its record here, as one of a flow does."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "STILLHOUSE_EXECUTION": "benchmark"}


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rows(method: str, rounds: list[dict[str, tuple[float, float]]]) -> list[dict[str, Any]]:
    beside, rows = BESIDE.get(method, BASE), []
    for index, what in enumerate(("wall", "processor")):
        times = [turn[method][index] for turn in rounds]
        ratios = [turn[method][index] / turn[beside][index] for turn in rounds]
        row = {"set": what, "method": method, "seeds": len(times)}
        rows.append(row | {"metric": "seconds", "mean": mean(times), "sd": stdev(times)})
        rows.append(row | {"metric": f"times {beside} (median)", "mean": median(ratios), "sd": stdev(ratios)})
    return rows
