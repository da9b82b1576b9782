"""The one flow and its one task: run these stages now, side by side where they do not need each other.

Whether a stage is due is DVC's to say, so nothing is cached here and no result is kept.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any, get_args

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console

from stillhouse.contracts.hidden import hide
from stillhouse.flows import estimate, graph, slots
from stillhouse.flows.graph import Node
from stillhouse.flows.progress import Board
from stillhouse.flows.stage import Outcome, Stopped, run_due_stage
from stillhouse.flows.turns import Turns, ready
from stillhouse.record import process


def threads(jobs: int | None = None) -> Any:
    """Room for `jobs` stages at once; their work is in processes of their own."""
    return ThreadPoolTaskRunner(max_workers=jobs or os.cpu_count() or 1)


class Execution:
    """What the stages of one flow run share."""

    def __init__(self, folder: Path, board: Board, stop: Event, *, afresh: bool, keep_going: bool) -> None:
        self.folder, self.board, self.stop = folder, board, stop
        self.keep_going, self.failed = keep_going, list[str]()
        self.devices, self.turns = slots.devices(), Turns()
        self.extra = {"STILLHOUSE_FLOW_RUN": str(flow_run.get_id() or ""), process.AFRESH: "1" if afresh else ""}

    def run(self, node: Node) -> State[str]:
        """One try of one stage.

        Raises:
            StageFailed: Prefect then tries again, if the node has retries left.
        """
        with self.turns.take(node.alone, self.stop), slots.hold(node.gpu, self.devices, self.stop) as device:
            try:
                if self.stop.is_set():
                    raise Stopped
                if reason := self.held_up():
                    self.board.set(node.name, "not run", reason)
                    return Cancelled(message=f"{node.name} was not run: {reason}")
                self.board.set(node.name, "running")
                outcome = run_due_stage(node, self.folder, self.extra | device, self.stop)
            except Stopped:
                self.board.set(node.name, "stopped")
                return Cancelled(message=f"{node.name} was interrupted")
            except Exception as error:
                self.board.set(node.name, "failed", hide(str(error)))
                raise
        self.board.set(node.name, outcome)
        if outcome == "done":
            estimate.note(self.folder, node.name, self.board.lines[node.name].seconds())
        return Completed(name=outcome.capitalize(), message=outcome)

    def held_up(self) -> str:
        """Which failures, their retries over, keep all other stages from beginning; "" if none do."""
        return f"{', '.join(self.failed)} failed" if self.failed and not self.keep_going else ""


@task(cache_policy=NO_CACHE, persist_result=False)
def stage(execution: Execution, node: Node) -> State[str]:
    """One DVC stage."""
    return execution.run(node)


@flow(name="stillhouse", task_runner=threads(), persist_result=False)
def execute(
    names: list[str] | None = None,
    forced: list[str] | None = None,
    afresh: bool = False,
    keep_going: bool = True,
    expected: dict[str, float] | None = None,
    jobs: int = 1,
) -> State[str]:
    """Runs what is due of the pipeline around the working folder, and the stages named in `forced`.

    `afresh`: no known result is put in place; `keep_going`: a failed stage holds up only what depends on it; `expected` (seconds by
    stage) and `jobs` are for the estimate of the time left.

    Raises:
        UserError: an unknown name, or nothing can be said about what is due.
    """
    folder = graph.root(Path.cwd())
    read = graph.select(graph.read(folder), names or [])
    nodes = [node for node in graph.force(read, forced or []) if node.state != "unchanged"]
    board = Board(nodes, folder, Console(), expected, jobs)
    with interruptible() as stop:
        with board:
            _run_all(Execution(folder, board, stop, afresh=afresh, keep_going=keep_going), nodes)
        board.failures()
        return _verdict(board, stopped=stop.is_set())


def _run_all(execution: Execution, nodes: Sequence[Node]) -> None:
    """Submits each stage as soon as all that it needs has given a result, so that no thread of the runner waits for another.

    Those that are measured alone come when no other stage can go on.
    """
    futures: dict[str, PrefectFuture[Any]] = {}
    ended: Queue[str] = Queue()
    waiting, settled = list(nodes), {node.name: False for node in nodes}
    while waiting or not all(settled.values()):
        for node in ready(waiting, settled):
            waiting.remove(node)
            if reason := _hindrance(execution, node):
                execution.board.set(node.name, "not run", reason)
                ended.put(node.name)
                continue
            before = [futures[name] for name in node.after if name in futures]
            named = stage.with_options(task_run_name=node.name, retries=node.retries)
            futures[node.name] = named.submit(execution, node, wait_for=before, return_state=False)
            futures[node.name].add_done_callback(partial(_note, execution, ended, node.name))
        settled[ended.get()] = True


def _note(execution: Execution, ended: Queue[str], name: str, _: PrefectFuture[Any]) -> None:
    """Called by the thread that ran the stage, before it takes another one."""
    if execution.board.lines[name].state == "failed":
        execution.failed.append(name)
    ended.put(name)


def _hindrance(execution: Execution, node: Node) -> str:
    """Why a stage is not to run, "" if it is."""
    if execution.stop.is_set():
        return "interrupted"
    lines = execution.board.lines
    lacking = [name for name in node.after if name in lines and lines[name].state not in get_args(Outcome)]
    return f"{', '.join(lacking)} gave no result" if lacking else execution.held_up()


def _verdict(board: Board, *, stopped: bool) -> State[str]:
    by_state: dict[str, list[str]] = {}
    for name, line in board.lines.items():
        by_state.setdefault(line.state, []).append(name)
    summary = "; ".join(f"{state}: {', '.join(names)}" for state, names in by_state.items())
    # If Prefect itself gave up on a stage, that one is not marked as failed, and it has no result either.
    if set(by_state) <= set(get_args(Outcome)):
        return Completed(message=summary)
    return Cancelled(message=summary) if stopped else Failed(message=summary)


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
