"""The one flow and its one task: run these stages now, side by side where they do not need each other.

Whether a stage is due is DVC's to say, so nothing is cached here and no result is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event, Lock
from typing import Any, get_args

from prefect import Flow, State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console

from stillhouse.contracts.hidden import hide
from stillhouse.flows import graph, slots
from stillhouse.flows.graph import Node
from stillhouse.flows.progress import Board, Line
from stillhouse.flows.stage import Outcome, Stopped, run_due_stage
from stillhouse.flows.turns import Turns, ready
from stillhouse.record import durations, process


def threads(jobs: int | None = None) -> Any:
    """Room for `jobs` stages at once; their work is in processes of their own."""
    return ThreadPoolTaskRunner(max_workers=jobs or os.cpu_count() or 1)


class Execution:
    """What the stages of one flow run share."""

    def __init__(self, folder: Path, board: Board, stop: Event, *, afresh: bool, keep_going: bool, allow_missing: bool) -> None:
        self.folder, self.board, self.stop = folder, board, stop
        self.keep_going, self.allow_missing, self.failed = keep_going, allow_missing, list[str]()
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
                outcome = run_due_stage(node, self.folder, self.extra | device, self.stop, allow_missing=self.allow_missing)
            except Stopped:
                self.board.set(node.name, "stopped")
                return Cancelled(message=f"{node.name} was interrupted")
            except Exception as error:
                self.board.set(node.name, "failed", hide(str(error)))
                raise
        self.board.set(node.name, outcome)
        if outcome == "done":
            durations.note(self.folder, node.name, self.board.lines[node.name].seconds())
        return Completed(name=outcome.capitalize(), message=outcome)

    def run_all_tries(self, node: Node) -> None:
        """One stage with its retries, without Prefect."""
        for _ in range(node.retries + 1):
            with suppress(Exception):  # the board has it
                self.run(node)
            if self.board.lines[node.name].state != "failed":
                return

    def held_up(self) -> str:
        """Which failures, their retries over, keep all other stages from beginning; "" if none do."""
        return f"{', '.join(self.failed)} failed" if self.failed and not self.keep_going else ""


Submit = Callable[[Execution, Node, list[Any]], Any]
"""Begins a stage after some futures have ended, and gives its own future."""


@task(cache_policy=NO_CACHE, persist_result=False)
def stage(execution: Execution, node: Node) -> State[str]:
    """One DVC stage."""
    return execution.run(node)


class Work:
    """What an execution has to do, done once: by Prefect's flow, or without Prefect if that has not begun it."""

    def __init__(self, folder: Path, wishes: Mapping[str, Any], jobs: int, stop: Event) -> None:
        self.begun, self.ended = Event(), Event()
        self.verdict: State[str] = Failed(message="it did not begin")
        self.flow_run, self.lines = "", dict[str, Line]()
        self._folder, self._wishes, self._jobs, self._stop = folder, wishes, jobs, stop
        self._taking = Lock()

    def take(self) -> bool:
        """Whether the caller is the first to begin it."""
        with self._taking:
            first = not self.begun.is_set()
            self.begun.set()
        return first

    def run(self, submit: Submit | None = None) -> State[str]:
        """Runs what is due; without `submit`, in threads of its own. The verdict is kept too, and what is raised is one."""
        self.flow_run = str(flow_run.get_id() or "")
        try:
            self.verdict = self._run(submit)
        except Exception as error:
            self.verdict = Failed(message=str(error))
        finally:
            self.ended.set()
        return self.verdict

    def states(self) -> dict[str, str]:
        """Stage -> the last word on it."""
        return {name: line.state for name, line in self.lines.items()}

    def _run(self, submit: Submit | None) -> State[str]:
        wishes, stop = self._wishes, self._stop
        read = graph.select(graph.read(self._folder, allow_missing=wishes["allow_missing"]), wishes["names"])
        due = [node for node in graph.force(read, wishes["forced"]) if node.state != "unchanged"]
        nodes = [replace(node, same_as=wishes["same"].get(node.name, "")) for node in due]
        board = Board(nodes, self._folder, Console(), wishes["expected"], self._jobs)
        self.lines = board.lines
        chosen = {name: wishes[name] for name in ("afresh", "keep_going", "allow_missing")}
        execution = Execution(self._folder, board, stop, **chosen)
        with board, ThreadPoolExecutor(self._jobs) as pool:
            _run_all(execution, nodes, submit or (lambda execution, node, _: pool.submit(execution.run_all_tries, node)))
        board.failures()
        return _verdict(board, stopped=stop.is_set())


def as_flow(work: Work, jobs: int) -> Flow[[dict[str, Any]], State[str]]:
    """The flow whose run records the work; its parameter is what was asked for."""

    @flow(name="stillhouse", task_runner=threads(jobs), persist_result=False)
    def execute(wishes: dict[str, Any]) -> State[str]:
        return work.run(_submitted) if work.take() else Cancelled(message="it was done without Prefect")

    return execute


def _submitted(execution: Execution, node: Node, before: list[Any]) -> Any:
    named = stage.with_options(task_run_name=node.name, retries=node.retries)
    return named.submit(execution, node, wait_for=before, return_state=False)


def _run_all(execution: Execution, nodes: Sequence[Node], submit: Submit) -> None:
    """Submits each stage as soon as all that it needs has given a result, so that no thread of the runner waits for another.

    Those that are measured alone come when no other stage can go on.
    """
    futures: dict[str, Any] = {}
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
            futures[node.name] = submit(execution, node, before)
            futures[node.name].add_done_callback(partial(_note, execution, ended, node))
        settled[ended.get()] = True


def _note(execution: Execution, ended: Queue[str], node: Node, _: Any) -> None:
    """Called by the thread that ran the stage, before it takes another one."""
    if execution.board.lines[node.name].state == "waiting":  # Prefect gave up before it began
        execution.run_all_tries(node)
    if execution.board.lines[node.name].state == "failed":
        execution.failed.append(node.name)
    ended.put(node.name)


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
