"""One execution from its first process to its last: the tracker, Prefect's server and the flow between them.

Results never depend on Prefect: the stages begin while its server starts, its flow follows them in a thread of its own, and they go on
and end without it.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows import cores, estimate, graph, lost
from stillhouse.flows.graph import Node
from stillhouse.flows.opening import Opening
from stillhouse.flows.server import Serving
from stillhouse.flows.stage import Stopped
from stillhouse.flows.tracker import Status, tracked
from stillhouse.flows.work import Work
from stillhouse.record import leftovers

if TYPE_CHECKING:
    from stillhouse.flows.nodes.away import Away

EXIT: dict[Status, int] = {"FINISHED": 0, "FAILED": 1, "KILLED": 130}
PATIENCE = 40.0
"""Seconds that Prefect may take, after the last stage, until it has written down how all ended."""
AT_ONCE = 32
"""Stages at once on nodes, which have the cores."""
_POLL, _GRACE = 0.1, 1.0


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
    opened: Opening,
    *,
    afresh: bool = False,
    keep_going: bool = True,
    allow_missing: bool = False,
    on: Elsewhere | None = None,
) -> Ended:
    """Runs what is due among `nodes`, those that `names` stand for; `opened` is of the same folder.

    `afresh`: no known result is put in place; `keep_going`: a failed stage holds up only what depends on it; `allow_missing`: as the
    nodes were read; `on`: where stages go that need not run here.

    Raises:
        UserError: another execution is going on in this folder, a server that the reader named does not answer, or the pool is not there.
    """
    opened.begin()
    wishes = _wishes(folder, names, nodes) | {"afresh": afresh, "keep_going": keep_going, "allow_missing": allow_missing}
    with (
        interruptible() as stop,
        lost.noted(folder) as note,
        tracked(folder, nodes) as tracker,
        opened.serving() as serving,
        on.open(folder, own=serving.own, stop=stop) if on else nullcontext() as away,
    ):
        _sweep(folder)
        work = Work(folder, wishes, jobs or (AT_ONCE if away else cores.at_once(nodes)), stop, away)
        recording = _Recording(work, wishes, serving, stop, note)
        status = recording.status()
        tracker.end(status, work.flow_run)
    return Ended(EXIT[status], recording.gone)


def _wishes(folder: Path, names: Sequence[str], nodes: Sequence[Node]) -> dict[str, Any]:
    """What was asked for by names, and what is known of the nodes before any runs."""
    return {
        "names": list(names),
        "forced": [node.name for node in nodes if node.forced],
        "same": {node.name: node.same_as for node in nodes if node.same_as},
        "expected": estimate.expected(folder, nodes),
    }


@dataclass(frozen=True)
class Elsewhere:
    """The pool whose nodes run stages. `key` gives the fingerprint of what a stage would make, None if it need not be made."""

    pool: str
    key: Callable[[Node], str | None]

    @contextmanager
    def open(self, folder: Path, *, own: bool, stop: Event) -> Iterator[Away]:
        """Raises UserError if no node can reach the server, there is no such pool, the project cannot be sent, or has another head.

        A server that is too busy to answer is asked again until `stop` is set.
        """
        if own:
            raise UserError(
                f"--on {self.pool} - wanted a Prefect server that nodes can reach - say `stillhouse up`, or set PREFECT_API_URL"
            )
        from stillhouse.flows.nodes import heads
        from stillhouse.flows.nodes.away import Away
        from stillhouse.flows.nodes.parcel import Packer
        from stillhouse.flows.nodes.patience import asked
        from stillhouse.flows.nodes.pool import Pool

        pool = Pool(self.pool)
        try:
            asked(pool.require, stop)
            packer = Packer(folder)
            with heads.alone(pool, packer.project, folder, stop):
                yield Away(folder, pool, packer, self.key)
        except Stopped:
            raise UserError(f"--on {self.pool} - interrupted while Prefect's server did not answer") from None


def _sweep(folder: Path) -> None:
    """Removes what a killed DVC had not finished, unless another one works here. A cache elsewhere may be shared with other projects."""
    with suppress(graph.Busy), graph.at_rest(folder):
        for place in ("data", ".dvc/cache"):
            leftovers.sweep(folder / place)


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


class _Recording:
    """Runs the stages, and Prefect's flow in a thread beside them that is waited for no longer than it must."""

    def __init__(self, work: Work, wishes: Mapping[str, Any], serving: Serving, stop: Event, note: lost.Note) -> None:
        self._work, self._wishes, self._serving, self._stop, self._note = work, wishes, serving, stop, note
        self._failure: Exception | None = None
        self.gone = False

    def status(self) -> Status:
        """Waits for the end; what Prefect may not have heard is left in the note."""
        following, working = Thread(target=self._follow, daemon=True), Thread(target=self._work.run)
        following.start()
        working.start()
        while not self._work.ended.wait(_POLL):  # a wait without an end would not hear of signals
            pass
        self._see_off(following)
        return self._verdict()

    def _follow(self) -> None:
        try:
            self._serving.wait(self._stop)
            if self._stop.is_set():
                return  # it ends before Prefect has heard of it
            from prefect import get_client

            from stillhouse.flows import pipeline, states

            with get_client(sync_client=True) as client:
                states.close_open_runs(client, self._note.before, own=self._serving.own)
                self._note.before = []
                state = pipeline.as_flow(self._work, self._note.follow)(dict(self._wishes), return_state=True)
                states.settle(client, state.state_details.flow_run_id)
        except Exception as error:
            self._failure = error

    def _see_off(self, following: Thread) -> None:
        deadline = time.monotonic() + PATIENCE
        while following.is_alive() and self._serving.lives() and time.monotonic() < deadline:
            following.join(_POLL)
        following.join(_GRACE)  # it may be about to say why there is no server
        if following.is_alive() or self._failure:
            self.gone = True
            _say(f"warning: {self._left_open()}\n")

    def _left_open(self) -> str:
        work = self._work
        if not work.flow_run:
            return f"{hide(str(self._failure or 'Prefect is too slow'))}; Prefect hears nothing of this execution"
        self._note.states = {"flow_run": work.flow_run, "verdict": work.verdict.kind, "stages": work.states()}
        return "Prefect's server went away; the next `stillhouse run` tells it how this one ended"

    def _verdict(self) -> Status:
        verdict = self._work.verdict
        if verdict.kind == "COMPLETED":
            return "FINISHED"
        _say(hide(verdict.message) + "\n" * bool(verdict.message))
        return "KILLED" if verdict.kind == "CANCELLED" else "FAILED"


def _say(text: str) -> None:
    """Also where nobody can read it any more."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
