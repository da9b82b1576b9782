"""Empties the outbox of a project into MLflow, at once or for as long as an execution lasts.

MLflow is a mirror, so a tracker that is away costs a warning. Runs go to `mlflow.db` in the project's folder, or to
`MLFLOW_TRACKING_URI`. `python -m stillhouse.tracking --help` lists what else can be told and asked.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stillhouse.record import hashes, outbox, process, revision, run_record
from stillhouse.record.run_record import Closing, Execution, Planned, RunRecord, Status
from stillhouse.tracking import summary
from stillhouse.tracking.store import EXPERIMENT, opened

__all__ = ["EXPERIMENT", "finish", "follow", "serve", "start", "sync"]
PERIOD = 0.2
"""Seconds between two looks into the outbox."""


def sync(root: Path) -> bool:
    """Forwards everything that waits in the outbox, oldest first; returns whether it is empty now."""
    with _forgiving(f"the tracker is away; records wait in {outbox.FOLDER}"), opened(root) as store:
        for path in outbox.waiting(root):
            with _forgiving(f"MLflow did not take {path.name}; it waits in {outbox.FOLDER}"):
                record = run_record.read(path)
                if isinstance(record, RunRecord):
                    store.tell(record)
                else:
                    store.close(record)
                path.unlink()
    return not outbox.waiting(root)


def start(root: Path, key: str, owner: int) -> None:
    """Prepares the store and opens an execution, which ends with the process `owner` if nobody closes it before."""
    with _forgiving("the tracker is away; what runs now is recorded when it is back"), opened(root) as store:
        store.open(Execution(key, process.identity(owner), managed=True, name=revision.title(root)))


def finish(root: Path, key: str, status: Status, plan: Sequence[Mapping[str, Any]]) -> None:
    """Leaves the end of an execution in the outbox, with the stages that it was about: {"name", "state", "reasons"} of each.

    What lies in place of a stage that did not run is noted too, so that it can be joined to the run that made it.
    """
    standing = hashes.standing([node["name"] for node in plan], root)
    stages = {}
    for node in plan:
        taken, outputs = standing.get(node["name"], (None, {}))
        stages[node["name"]] = Planned(node.get("state", ""), list(node.get("reasons", [])), taken.key if taken else "", outputs)
    results = summary.results(root, summary.students(stages))
    outbox.leave(root, Closing(key, status, int(1000 * time.time()), stages, revision.title(root), results))


def serve(root: Path, key: str, owner: int, plan: Path) -> None:
    """Opens an execution, forwards what its stages leave, and closes it with the status that comes as a line of the standard input.

    Without such a line the execution has died; then it stays open until the next contact finds its owner dead.
    """
    os.nice(10)
    with outbox.forwarding(root):
        start(root, key, owner)
        _forward(root, lambda: bool(select.select([sys.stdin], [], [], 0)[0]), set())
        status: Any = sys.stdin.readline().strip()
        if status:
            finish(root, key, status, json.loads(plan.read_text()))
            sync(root)


def follow(root: Path, owner: str) -> None:
    """Forwards what waits and what comes until the process `owner` (an `identity`) ends; at once if another process forwards already."""
    os.nice(10)
    tried: set[Path] = set()
    while True:
        with outbox.forwarding(root) as mine:
            if mine:
                _forward(root, lambda: process.is_dead(owner), tried)
        # What was left before the lock was given back, by someone who saw it held, has nobody else.
        if not mine or tried.issuperset(outbox.waiting(root)):
            return


def _forward(root: Path, has_ended: Callable[[], bool], tried: set[Path]) -> None:
    """Empties the outbox whenever something comes, and once more at the end; what MLflow does not take is added to `tried`."""
    last = False
    while not last:
        last = has_ended()
        if new := set(outbox.waiting(root)) - tried:
            sync(root)
            tried |= new
        elif not last:
            time.sleep(PERIOD)


@contextmanager
def _forgiving(consequence: str) -> Iterator[None]:
    """Whatever goes wrong with the tracker, of which there is no complete list, is a warning: results never depend on it."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        print(f"warning: {consequence} ({type(error).__name__}: {reason[:200]})", file=sys.stderr)
