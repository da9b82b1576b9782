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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.record import hashes, outbox, process, revision, run_record
from stillhouse.record.deadline import UPLOADS, TooLate, seconds, within
from stillhouse.record.run_record import Closing, Execution, Planned, RunRecord, Status
from stillhouse.tracking import registration, summary
from stillhouse.tracking.store import EXPERIMENT, Store, address, limited, opened

__all__ = ["EXPERIMENT", "finish", "follow", "serve", "start", "sync"]
PERIOD = 0.2
"""Seconds between two looks into the outbox."""


@dataclass(frozen=True)
class _Told:
    """A record whose run is told, and whose student is not registered yet."""

    path: Path
    record: RunRecord
    run: str


def sync(root: Path) -> bool:
    """Forwards everything that waits in the outbox, oldest first; returns whether it is empty now.

    Ends within `deadline.seconds()`, and within `deadline.UPLOADS` times as many more where models are to be uploaded.
    """
    told: list[_Told] = []
    with _forgiving(f"the tracker is away; records wait in {outbox.FOLDER}"), _writing(root) as store:
        for path in outbox.waiting(root):
            with _trying(root, store, path):
                told += _tell(root, store, path)
        store.close_dead_runs()  # a record may be of an execution that was killed before it had a run
    if told:
        with _forgiving(f"a model is not uploaded yet; it waits in {outbox.FOLDER}"), within(UPLOADS * seconds()):
            _register(root, store, told)
    return not outbox.waiting(root)


def _tell(root: Path, store: Store, path: Path) -> list[_Told]:
    """What is still to be done for a record, if anything."""
    try:
        record = run_record.read(path)
    except FileNotFoundError:
        return []  # another process has just told it
    if isinstance(record, RunRecord):
        run = store.tell(record)
        if registration.student(record):
            return [_Told(path, record, run)]
    else:
        store.close(record)
    outbox.done(root, path)
    return []


def _register(root: Path, store: Store, told: Sequence[_Told]) -> None:
    """Uploads and registers students. Only for the moment of the registration others have to wait."""
    with outbox.uploading(root) as mine:
        if not mine:
            print("another process is uploading a model; what waits for it is registered afterwards")
            return
        for each in told:
            with _trying(root, store, each.path):
                stored = registration.upload(root, store.client, each.record, each.run)
                with opened(root) as held:
                    registration.after(root, held.client, each.record, each.run, stored)
                outbox.done(root, each.path)


@contextmanager
def _trying(root: Path, store: Store, path: Path) -> Iterator[None]:
    """A record that MLflow refuses is counted, so that it is set aside some day; one that takes too long lets others go first."""
    try:
        yield
    except Exception as error:
        store.answers()  # else the tracker is away, which is no fault of the record's
        reason = _reason(error)
        gone = outbox.refuse(root, path, reason)
        place = f"it is set aside in {outbox.REFUSED}" if gone else f"it waits in {outbox.FOLDER}"
        print(f"warning: MLflow did not take {path.name}; {place} ({reason})", file=sys.stderr)
    except TooLate:
        with suppress(FileNotFoundError):
            os.utime(path)
        raise


def start(root: Path, key: str, owner: int) -> None:
    """Prepares the store and opens an execution, which ends with the process `owner` if nobody closes it before."""
    with _forgiving("the tracker is away; what runs now is recorded when it is back"), _writing(root) as store:
        store.open(Execution(key, process.identity(owner), managed=True, name=revision.title(root)))


def finish(root: Path, key: str, status: Status, plan: Sequence[Mapping[str, Any]], flow_run: str = "") -> None:
    """Leaves the end of an execution in the outbox, with the stages that it was about: {"name", "state", "reasons"} of each.

    What lies in place of a stage that did not run is noted too, so that it can be joined to the run that made it.
    """
    standing = hashes.standing([node["name"] for node in plan], root)
    stages = {}
    for node in plan:
        taken, outputs = standing.get(node["name"], (None, {}))
        stages[node["name"]] = Planned(node.get("state", ""), list(node.get("reasons", [])), taken.key if taken else "", outputs)
    results = summary.results(root, summary.students(stages))
    outbox.leave(root, Closing(key, status, int(1000 * time.time()), stages, revision.title(root), results, flow_run))


def serve(root: Path, key: str, owner: int, plan: Path) -> None:
    """Opens an execution, forwards what its stages leave, and closes it with what comes as a line of the standard input: its status,
    and which run of Prefect followed it.

    Without such a line the execution has died; then it stays open until the next contact finds its owner dead.
    """
    os.nice(5)
    with outbox.forwarding(root):
        start(root, key, owner)
        _forward(root, lambda: bool(select.select([sys.stdin], [], [], 0)[0]), set())
        status, _, flow_run = sys.stdin.readline().strip().partition(" ")
        if status:
            finish(root, key, cast(Status, status), json.loads(plan.read_text(encoding="utf-8")), flow_run)
        if outbox.waiting(root):
            sync(root)


def follow(root: Path, owner: str) -> None:
    """Forwards what waits and what comes until the process `owner` (an `identity`) ends; at once if another process forwards already."""
    os.nice(5)
    tried: set[Path] = set()
    while True:
        with outbox.forwarding(root) as mine:
            if mine:
                _forward(root, lambda: process.is_dead(owner), tried)
                _forwarded(root, tried)
        # What was left before the lock was given back, by someone who saw it held, has nobody else.
        if not mine or tried.issuperset(outbox.waiting(root)):
            return


def _forward(root: Path, has_ended: Callable[[], bool], tried: set[Path]) -> None:
    """Empties the outbox whenever something comes, until the end; what MLflow does not take is added to `tried`."""
    while not has_ended():
        if not _forwarded(root, tried):
            time.sleep(PERIOD)


def _forwarded(root: Path, tried: set[Path]) -> bool:
    """Whether there was anything new."""
    new = set(outbox.waiting(root)) - tried
    if new:
        sync(root)
        tried |= new
    return bool(new)


@contextmanager
def _writing(root: Path) -> Iterator[Store]:
    """Opens the tracker for as long as a command may take. Raises UserError where it is a folder, or a file that cannot be written to."""
    place = address(root)
    if place.startswith("file:") or (":" not in place and not place.startswith("databricks")):
        remedy = f"sqlite:///{Path(place.removeprefix('file:').removeprefix('//')).resolve()}/mlflow.db keeps runs there"
        raise UserError(f"MLFLOW_TRACKING_URI - wanted a database or a server - got a folder: {remedy}")  # MLflow has given those up
    file = Path(place.removeprefix("sqlite:///"))
    if locked := [path for path in (file, file.parent) if file.is_file() and not os.access(path, os.W_OK)]:
        raise UserError(f"{locked[0]} - wanted a database that can be written to - got one that is read-only")
    with limited(root, seconds()) as store:
        yield store


@contextmanager
def _forgiving(consequence: str) -> Iterator[None]:
    """Whatever goes wrong with the tracker, of which there is no complete list, is a warning: results never depend on it."""
    try:
        yield
    except (Exception, TooLate) as error:
        print(f"warning: {consequence} ({_reason(error)})", file=sys.stderr)


def _reason(error: BaseException) -> str:
    """One line that may be printed and kept."""
    return f"{type(error).__name__}: {hide(str(error).strip().partition(chr(10))[0])[:200]}"
