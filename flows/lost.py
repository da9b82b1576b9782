"""A mark that an execution is open: what it leaves is what Prefect and MLflow have not heard, and the next `stillhouse run` tells them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.flows.server import server
from stillhouse.record import outbox

MARK = Path(".work/open.json")


@dataclass
class Note:
    """`before`: how earlier executions ended, until Prefect has been told; `states`: how this one did, if Prefect has not heard it.

    Both have "flow_run", its "verdict", and the state of each of its "stages".
    """

    path: Path
    before: list[Mapping[str, Any]]
    states: Mapping[str, Any] | None = None

    def follow(self, flow_run: str) -> None:
        """Leaves the name of this execution's run of Prefect for the case that the execution is killed."""
        write_json(self.path, [*self.before, {"flow_run": flow_run, "verdict": "CRASHED", "stages": {}}])


@contextmanager
def noted(folder: Path) -> Iterator[Note]:
    """Leaves a mark for as long as an execution lasts, and after it if it was killed or Prefect has not heard how it ended."""
    path = folder / MARK
    note = Note(path, read(folder))
    write_json(path, note.before)
    yield note
    if rest := [*note.before, *([note.states] if note.states else [])]:
        write_json(path, rest)
    else:
        path.unlink(missing_ok=True)


def read(folder: Path) -> list[Mapping[str, Any]]:
    """How earlier executions ended of which Prefect has not heard; nothing if the file cannot be read."""
    try:
        return [dict(item) for item in read_json(folder / MARK)] if (folder / MARK).exists() else []
    except (UserError, TypeError, ValueError):
        return []


def is_open(folder: Path) -> bool:
    """Whether there is something that Prefect or MLflow has not heard."""
    return (folder / MARK).exists() or bool(outbox.waiting(folder))


def mend(folder: Path, stop: Event) -> None:
    """Tells Prefect and MLflow. Raises UserError if Prefect's server does not start."""
    subprocess.run([sys.executable, "-W", "ignore", "-m", "stillhouse.tracking", "sync", "--no-wait"], cwd=folder, check=False)
    if not (folder / MARK).exists():
        return
    with server(folder) as serving:
        serving.wait(stop)
        if stop.is_set():
            return
        from prefect import get_client

        from stillhouse.flows import states

        with get_client(sync_client=True) as client:
            states.close_open_runs(client, read(folder), own=serving.own)
    (folder / MARK).unlink()
