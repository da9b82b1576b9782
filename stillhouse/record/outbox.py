"""What MLflow is to be told: records wait as files in `.work/outbox` until the one process that imports MLflow forwards them.

A stage writes a file and goes on. Under `stillhouse run` the flow has started that process; a plain `dvc repro` has none, so its first
stage starts one, which ends with it.
"""

from __future__ import annotations

import fcntl
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stillhouse.record import run_record
from stillhouse.record.run_record import Closing, RunRecord

FOLDER = Path(".work/outbox")
LOG = Path(".work/tracker.log")
"""What the forwarding process prints: students that were registered, verdicts of the gate, warnings."""
REFUSED = Path(".work/refused")
"""Notes of each refusal, a line each, and records that were refused too often."""
TRIES = 5
"""Refusals after which a record is set aside."""
_LOCK = Path(".work/outbox.lock")
_UPLOADS = Path(".work/uploads.lock")


def leave(root: Path, record: RunRecord | Closing) -> None:
    """Leaves a record in the outbox of the project in `root`."""
    run_record.write(record, root / FOLDER / f"{_name(record)}.json")


def waiting(root: Path) -> list[Path]:
    """The files of all records that wait, oldest first."""
    found = []
    for path in (root / FOLDER).glob("*.json"):
        with suppress(FileNotFoundError):  # it has just been forwarded
            if path.is_file():
                found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def done(root: Path, path: Path) -> None:
    """Forgets a record that the tracker knows now; another process may have told it too."""
    path.unlink(missing_ok=True)
    _notes(root, path).unlink(missing_ok=True)


def refuse(root: Path, path: Path, reason: str) -> bool:
    """Notes that a record was refused, over all processes that tried; returns whether that was too often and it was set aside."""
    notes = _notes(root, path)
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("a", encoding="utf-8") as file:
        file.write(" ".join(reason.split()) + "\n")
    if len(notes.read_text(encoding="utf-8").splitlines()) < TRIES:
        return False
    path.replace(notes.with_name(path.name))
    return True


def aside(root: Path) -> dict[Path, str]:
    """The files of all records that were set aside, each with the last reason."""
    paths = sorted((root / REFUSED).glob("*.json"))
    notes = {path: _notes(root, path) for path in paths}
    return {path: (each.read_text(encoding="utf-8").splitlines() or [""])[-1] for path, each in notes.items() if each.exists()}


def _notes(root: Path, path: Path) -> Path:
    return root / REFUSED / f"{path.stem}.txt"


def _name(record: RunRecord | Closing) -> str:
    if isinstance(record, Closing):
        return f"execution-{record.key}"
    return f"{record.stage}-{record.tags['dvc.fingerprint']}-{record.id[:8]}"


@contextmanager
def forwarding(root: Path) -> Iterator[bool]:
    """Says to all others that this process forwards what comes; yields False, and says nothing, if another one does already."""
    with _held(root / _LOCK) as mine:
        yield mine


@contextmanager
def uploading(root: Path) -> Iterator[bool]:
    """Says to all others that this process uploads models; yields False, and says nothing, if another one does already."""
    with _held(root / _UPLOADS) as mine:
        yield mine


def await_upload(root: Path, limit: float) -> bool:
    """Waits, for `limit` seconds at most, while another process uploads models; whether one did."""
    begun = time.monotonic()
    for tried in itertools.count():
        with uploading(root) as mine:
            if mine or time.monotonic() - begun > limit:
                return tried > 0
        time.sleep(0.1)
    return False


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def make_sure(root: Path, owner: str) -> None:
    """Starts a process that forwards what waits and what comes until the process `owner` (an `identity`) ends, if there is none.

    It holds nothing of the caller's, neither terminal nor pipe, so that nobody who waits for the caller's output waits for it.
    """
    with forwarding(root) as nobody:
        pass
    if not nobody:
        return
    command = [sys.executable, "-W", "ignore", "-m", "stillhouse.tracking", "follow", owner]
    with (root / LOG).open("ab") as log:
        subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
