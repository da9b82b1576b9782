"""One execution from its first process to its last: the tracker, Prefect's server and the flow between them.

Results never depend on Prefect: its flow runs in a thread of its own, and the stages go on and end without its server.
"""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows import cores, estimate, lost
from stillhouse.flows.graph import Node
from stillhouse.flows.server import Serving, server
from stillhouse.flows.tracker import Status, tracked

if TYPE_CHECKING:
    from stillhouse.flows.pipeline import Work

EXIT: dict[Status, int] = {"FINISHED": 0, "FAILED": 1, "KILLED": 130}
BEGIN, PATIENCE = 60.0, 40.0
"""Seconds that Prefect's server, once it has answered, may take to begin a flow, and to write down the end of one."""
_POLL = 0.1


@dataclass(frozen=True)
class Ended:
    """How an execution ended. `gone`: threads of Prefect's wait for a server that is gone, and would hold up the end of the process."""

    code: int
    gone: bool


def execute(
    folder: Path,
    names: Sequence[str],
    nodes: Sequence[Node],
    jobs: int | None,
    *,
    afresh: bool = False,
    keep_going: bool = True,
    allow_missing: bool = False,
) -> Ended:
    """Runs what is due among `nodes`, those that `names` stand for.

    `afresh`: no known result is put in place; `keep_going`: a failed stage holds up only what depends on it; `allow_missing`: as the
    nodes were read.

    Raises:
        UserError: another execution is going on in this folder, or Prefect's server does not start.
    """
    wishes = {
        "names": list(names),
        "forced": [node.name for node in nodes if node.forced],
        "same": {node.name: node.same_as for node in nodes if node.same_as},
        "expected": estimate.expected(folder, nodes),
        "afresh": afresh,
        "keep_going": keep_going,
        "allow_missing": allow_missing,
    }
    with interruptible() as stop, alone(folder), lost.noted(folder) as note, tracked(folder, nodes) as tracker, server(folder) as serving:
        status = _Recording(folder, wishes, jobs or cores.at_once(nodes), serving, stop, note).status()
        tracker.end(status)
    return Ended(EXIT[status], note.states is not None)


@contextmanager
def interruptible() -> Iterator[Event]:
    """An event that Ctrl-C or SIGTERM sets, in place of an exception in the middle of whatever is going on."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises UserError if another execution is going on. The kernel frees the lock at any end of this process."""
    path = folder / ".work" / "execution.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another `stillhouse run` is going on in this folder: wait for it, or stop it with Ctrl-C") from None
        yield


class _Recording:
    """The thread of Prefect's flow, in which the stages run, and the one that waits for them, but for Prefect no longer than it must."""

    def __init__(self, folder: Path, wishes: Mapping[str, Any], jobs: int, serving: Serving, stop: Event, note: lost.Note) -> None:
        self._given = (folder, wishes, jobs, stop)
        self._wishes, self._jobs, self._serving, self._stop, self._note = wishes, jobs, serving, stop, note
        self._work: Work | None = None
        self._asked: float | None = None
        self._problem: UserError | None = None
        self._failure: Exception | None = None

    def status(self) -> Status:
        """Waits for the end; what Prefect may not have heard is left in the note. Raises UserError if its server does not start."""
        thread = Thread(target=self._record, daemon=True)
        thread.start()
        while thread.is_alive() and not self._begun() and not self._stop.is_set() and not self._late():
            thread.join(_POLL)
        if self._problem:
            raise self._problem
        if self._work is None:
            return "KILLED"
        if self._work.take() and not self._stop.is_set():
            self._work.run()
        while not self._work.ended.wait(_POLL):  # a wait without an end would not hear of signals
            pass
        self._see_off(thread, self._work)
        return self._verdict(self._work)

    def _begun(self) -> bool:
        return self._work is not None and self._work.begun.is_set()

    def _late(self) -> bool:
        return self._asked is not None and (time.monotonic() > self._asked + BEGIN or not self._serving.lives())

    def _record(self) -> None:
        try:
            self._serving.wait(self._stop)
            if self._stop.is_set():
                return
            from prefect import get_client

            from stillhouse.flows import pipeline, states

            self._work = pipeline.Work(*self._given)
            self._asked = time.monotonic()
            with get_client(sync_client=True) as client:
                states.close_open_runs(client, self._note.before, own=self._serving.own)
                self._note.before = []
                state = pipeline.as_flow(self._work, self._jobs)(dict(self._wishes), return_state=True)
                states.settle(client, state.state_details.flow_run_id)
        except UserError as problem:
            self._problem = problem
        except Exception as error:
            self._failure = error

    def _see_off(self, thread: Thread, work: Work) -> None:
        deadline = time.monotonic() + PATIENCE
        while thread.is_alive() and self._serving.lives() and time.monotonic() < deadline:
            thread.join(_POLL)
        if thread.is_alive() or self._failure:
            self._note.states = {"flow_run": work.flow_run, "verdict": work.verdict.type.value, "stages": work.states()}
            print("warning: Prefect's server went away; the next `stillhouse run` tells it how this one ended", file=sys.stderr)

    def _verdict(self, work: Work) -> Status:
        if work.verdict.is_completed():
            return "FINISHED"
        print(hide(str(work.verdict.message)), file=sys.stderr)
        return "KILLED" if work.verdict.is_cancelled() else "FAILED"
