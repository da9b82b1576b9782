"""What a stage on a node says to Prefect while it runs, and hears: its state, its log and its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from stillhouse.contracts.hidden import hide
from stillhouse.flows.nodes import pool
from stillhouse.flows.nodes.checkpoints import EVERY, OFTEN, Candidates, Checkpoints
from stillhouse.flows.nodes.job import Job
from stillhouse.flows.nodes.patience import asked
from stillhouse.flows.nodes.release import wanted
from stillhouse.flows.stage import log_path
from stillhouse.record.remote import Remote

BEAT = 1.0
"""Seconds between two messages."""
PATIENCE = 600.0
"""Seconds in which a server that is away is told again how a stage ended."""
_LONGEST, _AT_ONCE = 2_000, 200


class Line:
    """The run of one stage, seen from the node."""

    def __init__(self, run: UUID) -> None:
        self._run, self._client = run, get_client(sync_client=True)

    def begin(self) -> Job:
        """Says that the stage runs; returns what is to be done. Raises UserError at what a head of another Stillhouse asks for."""
        return asked(self._begun, Event())

    def _begun(self) -> Job:
        run = self._client.read_flow_run(self._run)
        job = wanted(run.parameters, run.work_queue_name or "")
        self._client.set_flow_run_state(self._run, Running(), force=True)
        return job

    @contextmanager
    def watched(self, stop: Event) -> Iterator[None]:
        """Sets `stop` when the work is no longer wanted: the head has cancelled it, or has given this node up."""
        with _repeated(lambda: stop.set() if self._is_over() else None, BEAT):
            yield

    def _is_over(self) -> bool:
        try:
            state = self._client.read_flow_run(self._run).state
        except ObjectNotFound:
            return True
        return state is not None and (state.is_final() or state.type == StateType.CANCELLING)

    @contextmanager
    def following(self, folder: Path, job: Job, remote: Remote) -> Iterator[None]:
        """Tells what the stage says, and keeps its checkpoint in the remote; of a search that nodes share, what each has made."""
        candidates = _repeated(Candidates(remote, folder, job).exchange, OFTEN) if job.count > 1 else nullcontext()
        with candidates, nullcontext() if job.number else self._whole(folder, job, Checkpoints(remote, folder, job)):
            yield

    @contextmanager
    def _whole(self, folder: Path, job: Job, checkpoints: Checkpoints) -> Iterator[None]:
        checkpoints.take()
        log, began = log_path(folder, job.stage), time.time()
        ends = [_End(log, pool.LOG, began), _End(log.parent / job.key / "metrics.jsonl", pool.METRICS, began)]
        with _repeated(lambda: self._tell(ends), BEAT), _repeated(checkpoints.give, EVERY):
            yield

    def _tell(self, ends: list[_End]) -> None:
        for end in ends:
            while lines := end.lines():
                self._client.create_logs([self._message(end.name, line) for line in lines])
                end.heard()

    def _message(self, name: str, line: str) -> dict[str, Any]:
        when = datetime.now(UTC).isoformat()
        return {"name": name, "level": 20, "message": hide(line[:_LONGEST]), "timestamp": when, "flow_run_id": str(self._run)}

    def end(self, state: State[Any]) -> None:
        """Says how the stage ended; whatever the head has said meanwhile stays."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if not (known := self._client.read_flow_run(self._run).state) or not known.is_final():
                    self._client.set_flow_run_state(self._run, state, force=True)
                return
            time.sleep(BEAT)

    def end_done(self) -> None:
        """Its result is in the remote."""
        self.end(Completed())

    def end_stopped(self) -> None:
        """The head wanted it stopped. Where its node or worker ends, nothing is said here: the node gives back what ran."""
        with suppress(httpx.HTTPError):
            if self._is_over():
                self.end(Cancelled())

    def end_not_begun(self, reason: str) -> None:
        """Another node may do what this one does not understand."""
        self.end(Crashed(message=reason))

    def end_failed(self, reason: str) -> None:
        """It has no result."""
        self.end(Failed(message=reason))


class _End:
    """The end of a growing file: the complete lines that nobody has been told; a file of before `began` is another run's."""

    def __init__(self, path: Path, name: str, began: float) -> None:
        self.name, self._path, self._began = name, path, began
        self._offset, self._next = 0, b""

    def lines(self) -> list[str]:
        """The next ones."""
        if not self._path.exists() or self._path.stat().st_mtime < self._began - 1:
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read(_AT_ONCE * _LONGEST)
        self._next = text[: text.rfind(b"\n") + 1]
        return self._next.decode(errors="replace").splitlines()

    def heard(self) -> None:
        """They have been told."""
        self._offset += len(self._next)


@contextmanager
def _repeated(action: Callable[[], Any], pause: float) -> Iterator[None]:
    """Does something again and again in a thread, and once more at the end. What fails, because a server is away, is tried again."""
    over = Event()

    def loop() -> None:
        ended = False
        while not ended:
            ended = over.wait(pause)
            with suppress(Exception):
                action()

    thread = Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
