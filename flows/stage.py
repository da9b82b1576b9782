"""One stage, reproduced by DVC in a process group of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Literal

from stillhouse.flows.graph import Node
from stillhouse.record import quietly, room
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed

DVC = tuple(quietly.command("dvc", "--wait-for-lock"))
"""Without the option a stage that ends while another one holds the lock for three seconds is lost."""

Outcome = Literal["done", "restored", "kept", "unchanged"]
"""`restored`: DVC had a result of the same inputs in its cache; `unchanged`: the result in place is of these inputs."""
_PUT_BACK = "import sys; from stillhouse.runner.results import put_back; put_back(sys.argv[1])"
SAID: dict[str, Outcome] = {"didn't change, skipping": "unchanged", "is cached - skipping run": "restored", "kept: nothing that": "kept"}


class StageFailed(Exception):
    """A stage ended without its result."""


class Stopped(Exception):
    """The execution was interrupted while the stage was running."""


def run_due_stage(node: Node, folder: Path, extra: Mapping[str, str], stop: Event, *, allow_missing: bool = False) -> Outcome:
    """Runs the stage if DVC finds it due; what it prints goes to `.work/<stage>/log.txt`. `extra` joins the environment.

    `allow_missing`: it is not due for an output that is not there alone.

    Raises:
        StageFailed: the command failed, or took longer than the node's timeout.
        Stopped: `stop` was set; nothing of the stage is running any more.
    """
    log, started = log_path(folder, node.name), time.time()
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with _nothing_lost(node.name, folder, extra, log):
        _reproduce(node, folder, extra, log, stop, started, allow_missing=allow_missing)
    text = log.read_text(errors="replace", encoding="utf-8")
    return next((outcome for words, outcome in SAID.items() if words in text), "done")


def _reproduce(node: Node, folder: Path, extra: Mapping[str, str], log: Path, stop: Event, started: float, *, allow_missing: bool) -> None:
    options = [*["--force"] * node.forced, *["--allow-missing"] * allow_missing]
    code = run_logged([*DVC, "repro", "--single-item", *options, node.name], folder, extra, log, stop, node.timeout)
    # The work is complete but DVC could not write it down (a lock, a full disk for a moment): it is recorded, not done again.
    if code and _finished_since(folder, node.name, started):
        code = run_logged([*DVC, "commit", "--force", node.name], folder, extra, log, stop, None)
    if code:
        full = room.short(folder)  # its log may have found no room either
        raise StageFailed(f"{node.name} failed with exit code {code}" + f"; a disk is full: {full}" * bool(full))


@contextmanager
def _nothing_lost(name: str, folder: Path, extra: Mapping[str, str], log: Path) -> Iterator[None]:
    """Brings the former result back where a stage fails: DVC removes it first, and the stage may have ended before it did so itself."""
    try:
        yield
    except BaseException:
        lock = folder / "dvc.lock"
        if lock.exists() and f"  {name}:\n" in lock.read_text(encoding="utf-8"):
            run_logged([sys.executable, "-c", _PUT_BACK, name], folder, extra, log, Event(), 60)
        raise


def log_path(folder: Path, stage: str) -> Path:
    """Where the output of a stage's last run lies."""
    return folder / ".work" / stage / "log.txt"


def _finished_since(folder: Path, stage: str, started: float) -> bool:
    """Whether the runner has marked the stage's work as complete; marks of earlier runs do not count."""
    # File systems keep times more coarsely than the clock does, so a mark may seem a moment older than it is.
    return any(mark.stat().st_mtime > started - 0.05 for mark in (folder / ".work" / stage).glob("*/done.json"))


def run_logged(command: Sequence[str], folder: Path, extra: Mapping[str, str], log: Path, stop: Event, timeout: float | None) -> int:
    """Runs a command of a stage, what it prints going to the end of a file; returns the exit code. Raises as `run_due_stage` does."""
    # `python` in dvc.yaml is then the Python that runs this, in an environment that is not activated too.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **extra}
    with log.open("ab") as sink:
        process = subprocess.Popen(
            leashed(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, process_group=0
        )
    deadline = time.monotonic() + timeout if timeout else float("inf")
    while (code := process.poll()) is None:
        if stop.wait(0.05):
            end_group(process)
            raise Stopped
        if time.monotonic() > deadline:
            end_group(process)
            raise StageFailed(f"{log.parent.name} was stopped after its time limit of {timeout:g} s")
    return code
