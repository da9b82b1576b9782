"""What the stages of an execution are doing and how long they will take: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stillhouse.flows import estimate
from stillhouse.flows.graph import Node
from stillhouse.flows.stage import log_path
from stillhouse.record import own

State = Literal["waiting", "running", "done", "restored", "kept", "unchanged", "failed", "not run", "stopped"]
STYLES = {
    "running": "cyan",
    "done": "green",
    "restored": "green",
    "kept": "green",
    "unchanged": "dim",
    "failed": "red",
    "not run": "yellow",
}
QUIET = 10.0
"""Seconds between two plain lines on the same running stage."""
UNSAID = ("epoch", "epochs", "time", "seconds")
TAIL = 15
"""Lines of a failed stage's log that are shown."""


@dataclass
class Line:
    """One stage; `started` and `ended` in seconds of the monotonic clock."""

    state: State = "waiting"
    note: str = ""
    started: float | None = None
    ended: float | None = None

    def seconds(self) -> float:
        """Since the start of the latest try."""
        return 0.0 if self.started is None else (self.ended or time.monotonic()) - self.started

    def elapsed(self) -> str:
        """Minutes and seconds since the start."""
        seconds = int(self.seconds())
        return "" if self.started is None else f"{seconds // 60}:{seconds % 60:02d}"


class Board:
    """Told of every change by the stages' threads; shows it while the `with` block lasts.

    `expected` are the seconds that stages should take, as far as they are known; `at_once` is how many run side by side.
    """

    def __init__(
        self, nodes: Sequence[Node], folder: Path, console: Console, expected: Mapping[str, float] | None = None, at_once: int = 1
    ) -> None:
        self.lines = {node.name: Line() for node in nodes}
        self._nodes, self._expected, self._at_once = nodes, expected or {}, at_once
        self._said_left = ""
        self._folder, self._console = folder, console
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._live = Live(self, console=console, refresh_per_second=4) if console.is_terminal else None
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._since = time.time()

    def __enter__(self) -> Board:
        if self._live:
            with suppress(Exception, SystemExit):  # nor does the work end with its display
                self._live.start()
        else:
            self._say_left()
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._live:
            with suppress(Exception, SystemExit):
                self._live.stop()
        else:
            self._ticker.join()

    def set(self, name: str, state: State, note: str = "") -> None:
        """A stage has changed its state."""
        with self._lock:
            line, now = self.lines[name], time.monotonic()
            line.state, line.note = state, note
            if state == "running":
                line.started, line.ended = now, None
            elif line.started is not None:
                line.ended = now
        if not self._live:
            self._say(name, f"{state}{': ' + note if note else ''}{' after ' + line.elapsed() if line.ended else ''}")
            if state != "running":
                self._say_left()

    def __rich__(self) -> Table:
        """The table as it stands now."""
        table = Table(box=None, pad_edge=False)
        for column in ("stage", "state", "progress", "elapsed"):
            table.add_column(column, justify="right" if column == "elapsed" else "left", overflow="fold")
        for name, line in self.lines.items():
            progress = self._progress(name) if line.state == "running" else line.note
            table.add_row(name, Text(line.state, style=STYLES.get(line.state, "")), progress, line.elapsed())
        table.caption, table.caption_justify = self._left(), "left"
        return table

    def _left(self) -> str:
        """How long what has not ended will take, "" if all has."""
        rest = [node for node in self._nodes if self.lines[node.name].state in ("waiting", "running")]
        known = {name: max(0.0, seconds - self.lines[name].seconds()) for name, seconds in self._expected.items() if name in self.lines}
        return f"time left: {estimate.words(rest, known, self._at_once)}" if rest else ""

    def _say_left(self) -> None:
        text = self._left()
        if text not in ("", self._said_left):
            self._said_left = text
            self._print(text)

    def failures(self) -> None:
        """The end of each failed stage's log, and how to run that stage by hand."""
        for name, line in self.lines.items():
            if line.state == "failed":
                log = log_path(self._folder, name)
                self._print(f"\n{name} failed. The end of {log.relative_to(self._folder)}:")
                for text in _end(log.read_text(errors="replace", encoding="utf-8").splitlines()) if log.exists() else ["(empty)"]:
                    self._print(f"  {text}")
                self._print(f"By hand: dvc repro --single-item {name}")

    def _tick(self) -> None:
        said: dict[str, str] = {}
        while not self._closed.wait(QUIET):
            for name, line in self.lines.items():
                if line.state == "running" and (progress := self._progress(name)) != said.get(name, ""):
                    said[name] = progress
                    self._say(name, f"{progress} ({line.elapsed()})")

    def _progress(self, name: str) -> str:
        return describe(newest_record(self._folder / ".work" / name, self._since))

    def _say(self, name: str, text: str) -> None:
        self._print(f"{name}: {text}")

    def _print(self, text: str) -> None:
        """The work goes on when nobody can read it any more; Rich would end the thread, as if it were a program, at a closed pipe."""
        with suppress(OSError, SystemExit):
            self._console.print(Text(text), soft_wrap=True)


def _end(lines: Sequence[str]) -> Sequence[str]:
    """The last lines of a log; where it tells what a part of somebody's own has raised, without the traceback above that."""
    told = max((place for place, line in enumerate(lines) if own.WANTED in line), default=0)
    return lines[told:][-TAIL:]


def newest_record(folder: Path, since: float) -> Mapping[str, Any]:
    """The last complete record in the newest metrics.jsonl of a stage, {} if none is newer than `since` (seconds of the epoch)."""
    try:
        paths = [(path.stat().st_mtime, path) for path in folder.glob("*/metrics.jsonl")]
        return _last_record(max(paths)[1]) if paths and max(paths)[0] >= since else {}
    except OSError:  # its folder was cleared away between two looks at it
        return {}


def _last_record(path: Path) -> Mapping[str, Any]:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4096))
        for line in reversed(file.read().split(b"\n")[:-1]):
            try:
                record = json.loads(line)
            except ValueError:  # its beginning was cut off
                continue
            return record if isinstance(record, Mapping) else {}
    return {}


def describe(record: Mapping[str, Any]) -> str:
    """For example "epoch 3/20  loss 0.5  mrr 0.31"."""
    words = [f"epoch {record['epoch']}/{record.get('epochs', '?')}"] if "epoch" in record else []
    words += [f"{name} {value:.4g}" for name, value in record.items() if name not in UNSAID and isinstance(value, int | float)]
    return "  ".join(words[:4])
