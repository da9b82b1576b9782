"""The one process that imports MLflow, beside an execution: it is told how that ended, and what it printed is shown then."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows.graph import Node
from stillhouse.record import deadline, process, quietly
from stillhouse.record.leash import leashed
from stillhouse.record.outbox import LOG

_LONGEST = 2 * (1 + deadline.UPLOADS)
"""Limits of one contact that its process may need: for what it is just telling, and for the rest."""
_GRACE = 60.0
"""Seconds for its start and end."""
Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker:
    """Records of stages that were started with its key are forwarded until `end`; if the process dies, another one does it in `close`."""

    def __init__(self, folder: Path, nodes: Sequence[Node]) -> None:
        self.key = uuid.uuid4().hex
        self._folder, self._status, self._flow_run = folder, "", ""
        plan = folder / ".work" / "plan.json"
        plan.write_text(json.dumps([dataclasses.asdict(node) for node in nodes]), encoding="utf-8")
        self._words = (self.key, "--plan", str(plan))
        (folder / LOG).unlink(missing_ok=True)
        self._process = self._start("serve", *self._words, "--owner", str(os.getpid()))

    def end(self, status: Status, flow_run: str = "") -> None:
        """Tells it how the execution ended and which run of Prefect followed it, and waits for nothing. What is told first counts."""
        if self._status:
            return
        self._status, self._flow_run = status, flow_run
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as said:  # it may have died
            said.write(f"{status} {flow_run}\n".encode())

    def close(self) -> None:
        """Waits until MLflow knows everything, or is known to be away; then what waits is told by the next run."""
        limit = _LONGEST * deadline.seconds() + _GRACE
        if _ended(self._process, limit):
            _ended(self._start("finish", *self._words, "--status", self._status, "--flow-run", self._flow_run), limit)
        for line in dict.fromkeys((self._folder / LOG).read_text(errors="replace", encoding="utf-8").splitlines()):  # each once
            print(hide(line), file=sys.stderr if line.startswith("warning") else sys.stdout)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        """A Ctrl-C in the terminal does not reach it, but it ends with this process."""
        python, *quiet = quietly.command("stillhouse.tracking", *words)
        command = leashed([python, "-W", "ignore", *quiet])
        with (self._folder / LOG).open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0)


def _ended(process: subprocess.Popen[bytes], limit: float) -> int:
    """The exit code; a process that does not end within `limit` seconds is killed."""
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def tracked(folder: Path, nodes: Sequence[Node]) -> Iterator[Tracker]:
    """Opens an execution in MLflow for all stages that are started inside, and closes it."""
    tracker = Tracker(folder, nodes)
    given = {"STILLHOUSE_EXECUTION": tracker.key, "STILLHOUSE_EXECUTION_OWNER": process.identity(os.getpid())}
    os.environ.update(given)
    try:
        yield tracker
    except UserError:
        tracker.end("FAILED")
        raise
    finally:
        tracker.end("KILLED")
        for name in given:
            del os.environ[name]
        tracker.close()
