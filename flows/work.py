"""What an execution does: run these stages now, side by side where they do not need each other.

It needs nobody but DVC. Whoever wants to follow it, as Prefect's flow does, is told of every stage that begins and of every try that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.console import Console

from stillhouse.contracts.hidden import hide
from stillhouse.flows import graph, slots
from stillhouse.flows.graph import Node
from stillhouse.flows.progress import Board, Line
from stillhouse.flows.stage import Outcome, Stopped, run_due_stage
from stillhouse.flows.turns import Turns, ready
from stillhouse.record import durations, process

if TYPE_CHECKING:
    from stillhouse.flows.nodes.away import Away


@dataclass(frozen=True)
class Ending:
    """How one try of a stage, or a whole execution, ended; `name` is the state on the board, or a shorter word for `kind`."""

    kind: Literal["COMPLETED", "FAILED", "CANCELLED"]
    name: str
    message: str


class Work:
    """An execution from its first stage to its last. `flow_run` is that of Prefect, once there is one."""

    def __init__(self, folder: Path, wishes: Mapping[str, Any], jobs: int, stop: Event, away: Away | None = None) -> None:
        self.ended, self.flow_run = Event(), ""
        self.verdict = Ending("FAILED", "Failed", "it did not begin")
        self.lines: dict[str, Line] = {}
        self.begun: SimpleQueue[Node | None] = SimpleQueue()
        """The stages in the order in which they begin, and None after the last one."""
        self.jobs = jobs
        self._tries: dict[str, SimpleQueue[Ending | None]] = {}
        self._folder, self._wishes, self._stop, self._away = folder, wishes, stop, away

    def run(self) -> None:
        """Runs what is due; how that ended is the verdict, and what is raised is one too."""
        try:
            self.verdict = self._run()
        except Exception as error:
            self.verdict = Ending("FAILED", "Failed", str(error))
        finally:
            self.ended.set()
            self.begun.put(None)
            for tries in self._tries.values():
                tries.put(None)

    def next_try(self, node: Node) -> Ending:
        """How the next try of a stage that has begun ends; waits for it. After the end of the work, and of what was told, its verdict."""
        tries = self._tries[node.name]
        if ending := tries.get():
            return ending
        tries.put(None)
        return self.verdict

    def states(self) -> dict[str, str]:
        """Stage -> the last word on it."""
        return {name: line.state for name, line in self.lines.items()}

    def _run(self) -> Ending:
        wishes, stop = self._wishes, self._stop
        read = graph.select(graph.read(self._folder, allow_missing=wishes["allow_missing"]), wishes["names"])
        if stop.is_set():  # nothing has begun, and nothing is said of it
            return Ending("CANCELLED", "Cancelled", "")
        due = [node for node in graph.force(read, wishes["forced"]) if node.state != "unchanged"]
        nodes = [replace(node, same_as=wishes["same"].get(node.name, "")) for node in due]
        board = Board(nodes, self._folder, Console(), wishes["expected"], self.jobs)
        self.lines, self._tries = board.lines, {node.name: SimpleQueue() for node in nodes}
        stages = _Stages(self, board, self._folder, wishes, stop, self._away)
        with board, ThreadPoolExecutor(self.jobs) as pool:
            stages.run_all(nodes, pool)
        board.failures()
        return _verdict(board, stopped=stop.is_set())

    def tell(self, node: Node, ending: Ending) -> None:
        """Whoever follows is told how a try ended."""
        self._tries[node.name].put(ending)


class _Stages:
    """What the stages of one execution share, and the threads that they run in."""

    def __init__(self, work: Work, board: Board, folder: Path, wishes: Mapping[str, Any], stop: Event, away: Away | None = None) -> None:
        self._work, self._board, self._folder, self._stop, self._away = work, board, folder, stop, away
        self._keep_going, self._allow_missing, self._failed = wishes["keep_going"], wishes["allow_missing"], list[str]()
        self._afresh = "1" if wishes["afresh"] else ""
        self._devices, self._turns = slots.devices(), Turns()
        self._ended: SimpleQueue[str] = SimpleQueue()

    def run_all(self, nodes: Sequence[Node], pool: ThreadPoolExecutor) -> None:
        """Begins each stage as soon as all that it needs has given a result, so that no thread waits for another stage.

        Those that are measured alone come when no other stage can go on.
        """
        waiting, settled = list(nodes), {node.name: False for node in nodes}
        while waiting or not all(settled.values()):
            for node in ready(waiting, settled):
                waiting.remove(node)
                if reason := self._hindrance(node):
                    self._board.set(node.name, "not run", reason)
                    self._ended.put(node.name)
                    continue
                self._work.begun.put(node)
                pool.submit(self._run, node).add_done_callback(partial(self._note, node))
            settled[self._ended.get()] = True

    def _run(self, node: Node) -> None:
        """A stage with its retries."""
        for _ in range(node.retries + 1):
            ending = self._one_try(node)
            self._work.tell(node, ending)
            if ending.kind != "FAILED":
                return

    def _note(self, node: Node, _: Any) -> None:
        """Called by the thread that ran the stage, before it takes another one."""
        if self._board.lines[node.name].state == "failed":
            self._failed.append(node.name)
        self._ended.put(node.name)

    def _one_try(self, node: Node) -> Ending:
        try:
            if self._away and (key := self._away.goes(node)):
                return self._in_place(node, {}, partial(self._away.run, key=key))
            with self._turns.take(node.alone, self._stop), slots.hold(node.gpu, self._devices, self._stop) as device:
                return self._in_place(node, device, run_due_stage)
        except Stopped:
            self._board.set(node.name, "stopped")
            return Ending("CANCELLED", "Cancelled", f"{node.name} was interrupted")
        except Exception as error:
            reason = hide(str(error))
            self._board.set(node.name, "failed", reason)
            return Ending("FAILED", "Failed", reason)

    def _in_place(self, node: Node, device: Mapping[str, str], run: Callable[..., Outcome]) -> Ending:
        """`run` runs it, here or on a node."""
        if self._stop.is_set():
            raise Stopped
        if reason := self._held_up():
            self._board.set(node.name, "not run", reason)
            return Ending("CANCELLED", "Cancelled", f"{node.name} was not run: {reason}")
        self._board.set(node.name, "running")
        extra = {"STILLHOUSE_FLOW_RUN": self._work.flow_run, process.AFRESH: self._afresh, **device}
        outcome = run(node, folder=self._folder, extra=extra, stop=self._stop, allow_missing=self._allow_missing)
        self._board.set(node.name, outcome)
        if outcome == "done":
            with suppress(OSError):
                durations.note(self._folder, node.name, self._board.lines[node.name].seconds())
        return Ending("COMPLETED", outcome.capitalize(), outcome)

    def _hindrance(self, node: Node) -> str:
        """Why a stage is not to run, "" if it is."""
        if self._stop.is_set():
            return "interrupted"
        lines = self._board.lines
        lacking = [name for name in node.after if name in lines and lines[name].state not in get_args(Outcome)]
        return f"{', '.join(lacking)} gave no result" if lacking else self._held_up()

    def _held_up(self) -> str:
        """Which failures, their retries over, keep all other stages from beginning; "" if none do."""
        return f"{', '.join(self._failed)} failed" if self._failed and not self._keep_going else ""


def _verdict(board: Board, *, stopped: bool) -> Ending:
    by_state: dict[str, list[str]] = {}
    for name, line in board.lines.items():
        by_state.setdefault(line.state, []).append(name)
    summary = "; ".join(f"{state}: {', '.join(names)}" for state, names in by_state.items())
    if set(by_state) <= set(get_args(Outcome)):
        return Ending("COMPLETED", "Completed", summary)
    return Ending("CANCELLED", "Cancelled", summary) if stopped else Ending("FAILED", "Failed", summary)
