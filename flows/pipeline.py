"""The one flow and its one task: run these stages now, side by side where they do not need each other.

Whether a stage is due is DVC's to say, so nothing is cached here and no result is kept.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import allow_failure
from rich.console import Console

from flows import graph, slots
from flows.graph import Node
from flows.progress import Board
from flows.reproduce import StageFailed, Stopped, reproduce

THREADS: Any = ThreadPoolTaskRunner()


class Execution:
    """What the stages of one flow run share."""

    def __init__(self, folder: Path, board: Board, jobs: int, stop: Event) -> None:
        self.folder, self.board, self.stop = folder, board, stop
        self.devices = slots.devices()
        # A thread waits for a stage's predecessors too, so the runner has a thread for every stage and this limits the work.
        self.room = Semaphore(jobs)
        self.extra = {"STILLHOUSE_FLOW_RUN": str(flow_run.get_id() or "")}

    def run(self, node: Node) -> State[str]:
        """One try of one stage.

        Raises:
            StageFailed: Prefect then tries again, if the node has retries left.
        """
        lacking = [name for name in node.after if name in self.board.lines and self.board.lines[name].state not in ("done", "unchanged")]
        with self.room, slots.hold(node.gpu, self.devices, self.stop) as device:
            if self.stop.is_set() or lacking:
                return self._skipped(node, f"{', '.join(lacking)} gave no result" if lacking else "")
            self.board.set(node.name, "running")
            try:
                outcome = reproduce(node, self.folder, self.extra | device, self.stop)
            except StageFailed as error:
                self.board.set(node.name, "failed", str(error))
                raise
            except Stopped:
                self.board.set(node.name, "stopped")
                return Cancelled(message=f"{node.name} was interrupted")
            self.board.set(node.name, outcome)
            return Completed(name=outcome.capitalize(), message=outcome)

    def _skipped(self, node: Node, reason: str) -> State[str]:
        self.board.set(node.name, "not run", reason)
        return Cancelled(message=f"{node.name} was not run: {reason or 'interrupted'}")


@task(cache_policy=NO_CACHE, persist_result=False)
def stage(execution: Execution, node: Node) -> State[str]:
    """One DVC stage."""
    return execution.run(node)


@flow(name="stillhouse", task_runner=THREADS, persist_result=False)
def execute(names: list[str] | None = None, jobs: int | None = None) -> State[str]:
    """Runs what is due of the pipeline around the working folder, at most `jobs` stages at once (as many as there are cores).

    Raises:
        graph.Problem: an unknown name, or nothing can be said about what is due.
    """
    folder = graph.root(Path.cwd())
    nodes = [node for node in graph.select(graph.read(folder), names or []) if node.state != "unchanged"]
    board = Board(nodes, folder, Console())
    with interruptible() as stop:
        with board:
            _submit(Execution(folder, board, jobs or os.cpu_count() or 1, stop), nodes)
        board.failures()
        return _verdict(board, stopped=stop.is_set())


def _submit(execution: Execution, nodes: Sequence[Node]) -> None:
    """A failure is let through to those that wait for it, so that each of them ends with a state and a reason of its own."""
    futures: dict[str, PrefectFuture[Any]] = {}
    for node in nodes:
        before: list[Any] = [allow_failure(futures[name]) for name in node.after if name in futures]
        ready = stage.with_options(task_run_name=node.name, retries=node.retries)
        futures[node.name] = ready.submit(execution, node, wait_for=before, return_state=False)
    for future in futures.values():
        future.wait()


def _verdict(board: Board, *, stopped: bool) -> State[str]:
    by_state: dict[str, list[str]] = {}
    for name, line in board.lines.items():
        by_state.setdefault(line.state, []).append(name)
    summary = "; ".join(f"{state}: {', '.join(names)}" for state, names in by_state.items())
    if stopped:
        return Cancelled(message=summary)
    return Failed(message=summary) if "failed" in by_state else Completed(message=summary)


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
