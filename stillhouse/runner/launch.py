"""The other processes of a stage on several devices, which split a training or share the candidates of a search.

The stage starts them, sees that they live, and ends them. They run the same verb with the same settings and seed as the stage's own
process, which alone writes and logs; they have no log, no checkpoint of their own and nothing to fill. The kernel ends them with the stage,
however that ends.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.record import part
from stillhouse.record.group import GRACE
from stillhouse.record.hashes import Inputs
from stillhouse.record.leash import leashed
from stillhouse.record.run_record import Execution
from stillhouse.runner import run
from stillhouse.runner.fingerprint import Fingerprint
from stillhouse.runner.run import Call, Run

OTHER = "STILLHOUSE_OTHER_DEVICE"
"""The environment variable by which a stage tells a process which of how many it is, as JSON."""
_POLL, _NOTICE = 0.02, 5.0
_LOST = re.compile(r"gloo|nccl|connection (closed|reset)|broken pipe|process group", re.IGNORECASE)
"""What torch.distributed says, in one of many ways, when another process is gone."""


@dataclass(frozen=True)
class Others:
    """The processes that a stage has started, and the folder where they meet it and where their output lies."""

    processes: Sequence[subprocess.Popen[bytes]]
    folder: Path

    def ended(self) -> str | None:
        """What one of them that failed said last; None while none has. One may be done before the stage is, which has to write."""
        for number, process in enumerate(self.processes, start=1):
            if process.poll():
                log = self.folder / f"{number}.txt"
                lines = log.read_text(errors="replace", encoding="utf-8").strip().splitlines()
                code = process.returncode
                said = f"stopped by {signal.Signals(-code).name}" if code < 0 else lines[-1] if lines else f"exit code {code}"
                return f"device {number + 1} of {len(self.processes) + 1} ended before the others: {said} (its output is in {log})"
        return None

    def end(self) -> None:
        """Ends them, by force after some seconds."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(_NOTICE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def together(ready: Run) -> Iterator[None]:
    """Has the stage's work done by as many processes as its settings say, each with a device, of which this process has the first.

    Raises UserError if there are not so many, or if one of the other processes ends before the stage's work is done.
    """
    from stillhouse.runner import apart, devices

    if not ready.computes or (count := devices.number(ready.block.settings)) == 1:
        yield
        return
    if told := part.mine():
        with apart.joined(ready, told):
            yield
        return
    with _beside(ready, count):
        yield


@contextmanager
def _beside(ready: Run, count: int) -> Iterator[None]:
    """Starts the other processes, and ends them with the block."""
    from stillhouse.runner import devices
    from stillhouse.training import machine

    machine.require(count, "fit.devices" if devices.workers(ready.block.settings) == 1 else "workers")
    folder = ready.scratch / "devices"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    others, over = Others([_start(ready, folder, number, count) for number in range(1, count)], folder), threading.Event()
    try:
        _meet(others)
        threading.Thread(target=_watch, args=(others, over), name="watch-devices", daemon=True).start()
        with _joined(ready, 0, count, others.ended), _told(others):
            yield
    finally:
        over.set()
        others.end()
    shutil.rmtree(folder, ignore_errors=True)


def _joined(ready: Run, number: int, count: int, ended: Callable[[], str | None] = lambda: None) -> AbstractContextManager[None]:
    """This process as one of those that split a training, or that share the candidates of a search."""
    from stillhouse.runner import devices
    from stillhouse.training import machine, ranks, workers

    if devices.workers(ready.block.settings) > 1:
        return workers.joined(ready.scratch / "checkpoint" / "candidates", number, count, ended)
    return ranks.joined(ready.scratch / "devices" / "meeting", number, count, machine.device())


def _start(ready: Run, folder: Path, number: int, count: int) -> subprocess.Popen[bytes]:
    from stillhouse.training import machine

    kind = machine.device().type
    device = {"STILLHOUSE_DEVICE": kind if kind == "cpu" else f"{kind}:{number}"}
    command = [sys.executable, "-m", "stillhouse.stages", ready.call.verb, str(ready.call.name)]
    with (folder / f"{number}.txt").open("wb") as log:
        environment = {**os.environ, **device, OTHER: json.dumps(_telling(ready, number, count))}
        return subprocess.Popen(leashed(command), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _telling(ready: Run, number: int, count: int) -> dict[str, Any]:
    """What one of the other processes must know."""
    return {"number": number, "count": count, "stage": ready.call.stage, "key": ready.fingerprint.key, "settings": ready.block.facts}


def _meet(others: Others) -> None:
    """Waits until all are about to join: from then on torch.distributed notices the end of one."""
    while not all((others.folder / f"{number}.ready").exists() for number in range(1, len(others.processes) + 1)):
        if said := others.ended():
            raise UserError(said)
        time.sleep(_POLL)


@contextmanager
def _told(others: Others) -> Iterator[None]:
    """Turns what torch.distributed says when another process is gone into what that process said."""
    try:
        yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        deadline = time.monotonic() + _NOTICE
        while not (said := others.ended()) and time.monotonic() < deadline:
            time.sleep(_POLL)
        if not said:
            raise
        raise UserError(said) from error


def _watch(others: Others, over: threading.Event) -> None:
    """Ends this process too where one of the others has ended and this one waits for it inside of a device, which no signal reaches."""
    while not over.wait(1.0):
        if (said := others.ended()) and not over.wait(GRACE):
            print(said, file=sys.stderr, flush=True)
            os._exit(1)


def follow(verb: str, name: str, told: Mapping[str, Any]) -> None:
    """One of the other processes, from its start to its end; `told` is what `OTHER` holds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage, which Ctrl-C reaches too, ends this one
    mark = Fingerprint(told["key"], {})
    call = Call(verb, name, told["stage"], Path(), Execution("", "", managed=True), None)
    ready = run.prepare(call, Inputs("", "", {}, {}, ""), mark)
    if ready.block.facts != told["settings"]:
        raise UserError("params.yaml changed while the stage began: run it again")
    folder = ready.scratch / "devices"
    (folder / f"{told['number']}.ready").touch()
    with _joined(ready, told["number"], told["count"]):
        accompany(ready, folder / "output")


def accompany(ready: Run, output: Path) -> None:
    """Runs the verb as the stage's own process does, without a log; `output` is not filled where another process is the first."""
    from stillhouse.training import machine

    paths = {**ready.paths, list(ready.paths)[-1]: output}
    with machine.telling_memory(), machine.telling_deterministic():
        rng = machine.seed(ready.block.seed)
        ready.function(ready.block.settings, **ready.block.parts, **paths, rng=rng, log=lambda record: None)
