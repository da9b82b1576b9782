"""One run of a verb: its arguments, the scratch folder that it works in, and its output put in place."""

from __future__ import annotations

import inspect
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.record.hashes import Fingerprint

if TYPE_CHECKING:
    from stillhouse.contracts.data import Log, Metrics
    from stillhouse.record.run_record import Execution
    from stillhouse.runner.params import Block

PARAMS = Path("params.yaml")
KEPT_FOLDERS = 3
"""Scratch folders that a stage keeps, one for each fingerprint, the newest first."""
_NO_PATHS = ("rng", "log", "scratch")


@dataclass(frozen=True)
class Call:
    """Which stage this process runs and for whom; `root` holds the tracker's files, the working folder everything else."""

    verb: str
    name: str | None
    stage: str
    root: Path
    execution: Execution
    flow_run: str | None

    @property
    def home(self) -> Path:
        """The stage's scratch folders and its lease."""
        return Path(".work") / self.stage


@dataclass(frozen=True)
class Run:
    """A stage that is ready to run: the verb with its arguments, the output last among the paths."""

    call: Call
    before: Fingerprint
    block: Block
    function: Callable[..., Metrics]
    paths: Mapping[str, Path]
    started: float

    @property
    def scratch(self) -> Path:
        """The folder of this stage and this fingerprint: no other experiment ever finds a checkpoint in it."""
        return self.call.home / self.before.key

    @property
    def destination(self) -> Path:
        """Where the output goes when it is complete."""
        return list(self.paths.values())[-1]


def prepare(call: Call, before: Fingerprint) -> Run:
    """Reads the settings and finds the parts. Only now code of parts is imported: the fingerprint was taken of what they are."""
    from stillhouse import registry
    from stillhouse.runner import params
    from stillhouse.training import machine

    block = params.read(PARAMS, call.verb, call.name)
    machine.device()  # a wrong one is told before any work
    machine.use_workers()
    function = getattr(registry.verb(call.verb), call.verb)
    keywords = [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    paths = {name: _place(name, call, block) for name in keywords if name not in _NO_PATHS}
    return Run(call, before, block, function, paths, time.time())


def _place(what: str, call: Call, block: Block) -> Path:
    """Where the path that a verb calls `what` lies."""
    data = Path("data")
    if what == "raw":
        assert block.raw is not None
        return block.raw
    if what in ("reports", "comparison"):
        return data / what
    if what == "report":
        return data / "reports" / str(call.name)
    return data / (block.teacher if what in ("prepared", "teacher") else str(call.name)) / what


def execute(run: Run) -> Metrics:
    """Calls the verb with an empty folder to fill; it finds the checkpoint again that the same fingerprint left behind."""
    from stillhouse.training import machine

    output = run.scratch / "output"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (run.scratch / "done.json").unlink(missing_ok=True)
    if not (run.scratch / "checkpoint").exists():
        (run.scratch / "metrics.jsonl").unlink(missing_ok=True)  # of a run that this one does not go on with
    extra = {"scratch": run.scratch / "checkpoint"} if "scratch" in inspect.signature(run.function).parameters else {}
    paths = {**run.paths, list(run.paths)[-1]: output}
    with _log(run.scratch / "metrics.jsonl") as log:
        rng = machine.seed(run.block.seed)
        return run.function(run.block.settings, **run.block.parts, **paths, rng=rng, log=log, **extra)


@contextmanager
def _log(path: Path) -> Iterator[Log]:
    """Every record is one line at once, so that progress can be followed and no death loses what was told."""
    with path.open("a") as file:

        def log(record: Mapping[str, Any]) -> None:
            file.write(json.dumps({"time": time.time(), **record}, default=float) + "\n")
            file.flush()

        yield log


def install(run: Run, metrics: Metrics) -> None:
    """Puts the output in place, with its metrics and its training curve beside it, and marks the work as done.

    The marker says that DVC may make up for a record that it could not write (`dvc commit`).
    """
    from stillhouse.contracts.files import write_json

    output, destination = run.scratch / "output", run.destination
    if run.call.name:
        finite = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
        write_json(destination.with_name(f"{destination.name}.json"), finite)
    if (output / "curve.csv").exists():
        shutil.move(output / "curve.csv", destination.with_name(f"{destination.name}.csv"))
    partial = Path("data") / f".{run.call.stage}.partial"  # not beside the output: data/reports is read as a whole
    shutil.rmtree(partial, ignore_errors=True)
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(output, partial)  # copies if the data lie on another file system than the scratch
    shutil.rmtree(destination, ignore_errors=True)
    partial.rename(destination)
    write_json(run.scratch / "done.json", {"stage": run.call.stage, "fingerprint": run.before.key, "time": time.time()})


def prune(run: Run) -> None:
    """Deletes the checkpoint, which nobody needs any more, and the oldest scratch folders of the stage."""
    shutil.rmtree(run.scratch / "checkpoint", ignore_errors=True)
    folders = sorted((path for path in run.call.home.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)
