"""One run of a verb: its arguments, the scratch folder that it works in, and its output put in place."""

from __future__ import annotations

import inspect
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.contracts import sums
from stillhouse.contracts.files import read_json, write_json
from stillhouse.record import collector, leftovers, room
from stillhouse.record.hashes import Inputs
from stillhouse.runner import checked, fingerprint, results
from stillhouse.runner.entries import PARAMS, Entries
from stillhouse.runner.fingerprint import Fingerprint

if TYPE_CHECKING:
    from stillhouse.contracts.data import Log, Metrics
    from stillhouse.record.run_record import Execution
    from stillhouse.runner.params import Block

KEPT_FOLDERS = 3
"""Scratch folders that a stage keeps, one for each fingerprint, the newest first."""
_NO_PATHS = ("rng", "log", "scratch")
_HASHED = frozenset(("prepared", "teacher", "found", "student"))
"""What carries its own hashes: DVC trusts the time stamps of what has rotted."""


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
    def destination(self) -> Path:
        """Where the output lies when it is complete."""
        return output_of(self.verb, self.name)

    @property
    def partial(self) -> Path:
        """Where the output is copied to if the data lie on another disk; not beside the output: data/reports is read as a whole."""
        return Path("data") / f".{self.stage}.partial"

    @property
    def home(self) -> Path:
        """The stage's scratch folders and its lease."""
        return Path(".work") / self.stage


@dataclass(frozen=True)
class Run:
    """A stage that is ready to run: the verb with its arguments, the output last among the paths."""

    call: Call
    before: Inputs
    fingerprint: Fingerprint
    block: Block
    function: Callable[..., Metrics]
    paths: Mapping[str, Path]
    started: float

    @property
    def scratch(self) -> Path:
        """The folder of this stage and this fingerprint: no other experiment ever finds a checkpoint in it."""
        return self.call.home / self.fingerprint.key

    @property
    def computes(self) -> bool:
        """Whether the verb takes a generator: one that does not needs neither PyTorch nor a device."""
        return computes(self.function)


_MADE = {"prepare": "prepared", "teach": "teacher", "search": "found", "distill": "student"}


def output_of(verb: str, name: str | None) -> Path:
    """Where a verb's output lies, for a teacher or student."""
    if verb == "compare":
        return Path("data/comparison")
    return Path("data/reports", str(name)) if verb == "evaluate" else Path("data", str(name), _MADE[verb])


def identify(call: Call, before: Inputs) -> Fingerprint:
    """The fingerprint of what the stage would make. Raises UserError at a mistake in its block of params.yaml."""
    entries = Entries.read()
    use_threads(entries)
    known = checked.read(entries) or {}
    if call.name is None or call.stage not in known:
        from stillhouse.runner import params

        settings = params.read(PARAMS, call.verb, call.name).facts
    else:
        settings = known[call.stage]
    return fingerprint.take(call.verb, call.name, before.inputs, settings, entries)


def use_threads(entries: Entries) -> None:
    """Says how many threads a stage has, where PyTorch and NumPy read it when they are loaded."""
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{name}_NUM_THREADS"] = str(entries.threads)


def prepare(call: Call, before: Inputs, mark: Fingerprint) -> Run:
    """Reads the settings and finds the parts. Only now code of parts is imported: the fingerprint was taken of what they are."""
    from stillhouse import registry
    from stillhouse.runner import params

    block = params.read(PARAMS, call.verb, call.name)
    function = getattr(registry.verb(call.verb), call.verb)
    if computes(function):
        from stillhouse.training import machine

        machine.device()  # a wrong one is told before any work
        machine.use_threads(block.threads)
        machine.use_deterministic(block.deterministic)
    keywords = [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    paths = {name: _place(name, call, block) for name in keywords if name not in _NO_PATHS}
    collector.usual()
    return Run(call, before, mark, block, function, paths, time.time())


def computes(function: Callable[..., Any]) -> bool:
    """Whether a verb takes a seeded generator."""
    return "rng" in inspect.signature(function).parameters


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
    output = run.scratch / "output"
    shutil.rmtree(output, ignore_errors=True)
    room.require(Path(), _expected(run))
    output.mkdir(parents=True)
    (run.scratch / "done.json").unlink(missing_ok=True)
    if not (run.scratch / "checkpoint").exists():
        (run.scratch / "metrics.jsonl").unlink(missing_ok=True)  # of a run that this one does not go on with
    extra: dict[str, Any] = {"scratch": run.scratch / "checkpoint"} if "scratch" in inspect.signature(run.function).parameters else {}
    paths = {**run.paths, list(run.paths)[-1]: output}
    for name in _HASHED & paths.keys() - {list(paths)[-1]}:
        sums.check(paths[name])
    with _log(run.scratch / "metrics.jsonl") as log:
        if run.computes:
            from stillhouse.training import machine

            extra["rng"] = machine.seed(run.block.seed)
            with machine.telling_memory(), machine.telling_deterministic():
                return run.function(run.block.settings, **run.block.parts, **paths, log=log, **extra)
        return run.function(run.block.settings, **run.block.parts, **paths, log=log, **extra)


@contextmanager
def _log(path: Path) -> Iterator[Log]:
    """Every record is one line at once, so that progress can be followed and no death loses what was told."""
    with path.open("a", encoding="utf-8") as file:

        def log(record: Mapping[str, Any]) -> None:
            file.write(json.dumps({"time": time.time(), **record}, default=float) + "\n")
            file.flush()

        yield log


def install(run: Run, metrics: Metrics) -> None:
    """Puts the output in place, with its metrics and its training curve beside it."""
    output, destination = run.scratch / "output", run.call.destination
    finite = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
    write_json(destination.with_name(f"{destination.name}.json"), {**finite, results.MADE: results.telling(run.fingerprint)})
    if (output / "curve.csv").exists():
        shutil.move(output / "curve.csv", destination.with_name(f"{destination.name}.csv"))
    if list(run.paths)[-1] in _HASHED:
        sums.write(output)
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(output, run.call.partial)  # copies if the data lie on another file system than the scratch
    shutil.rmtree(destination, ignore_errors=True)
    run.call.partial.rename(destination)


def mark_done(call: Call, mark: Fingerprint) -> None:
    """Says that the stage's result is in place, and of which fingerprint it is: DVC may then be made to record it."""
    facts = {"stage": call.stage, "fingerprint": mark.key, "time": time.time(), "bytes": room.size(call.destination)}
    write_json(call.home / mark.key / "done.json", facts)


def _expected(run: Run) -> int:
    """Bytes that the output may take: those of the last result, whatever its settings; of prepared data without one, those of the raw."""
    marks = sorted(run.call.home.glob("*/done.json"), key=lambda path: path.stat().st_mtime)
    if marks:
        return int(read_json(marks[-1]).get("bytes", 0))
    return room.size(run.paths["raw"]) if "raw" in run.paths else 0


def clear(call: Call, *, failed: bool = False) -> None:
    """Removes what an interrupted stage left unfinished in `data`; when it has `failed`, in its scratch folders and of DVC's too."""
    for path in [call.partial, *(call.home.glob("*/output") if failed else ())]:
        shutil.rmtree(path, ignore_errors=True)
    for path in call.destination.parent.glob(".*.tmp") if failed else ():
        if leftovers.is_unfinished(path):  # DVC leaves it when the disk is full
            path.unlink(missing_ok=True)


def prune(run: Run) -> None:
    """Deletes the checkpoint, which nobody needs any more, and the oldest scratch folders of the stage."""
    shutil.rmtree(run.scratch / "checkpoint", ignore_errors=True)
    folders = sorted((path for path in run.call.home.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)
