"""What a node has made of a stage, as the remote has it until the head takes it: by its fingerprint, so that nothing is made twice."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from stillhouse.contracts.files import read_json, write_json
from stillhouse.record import outbox, run_record
from stillhouse.record.remote import Remote
from stillhouse.record.run_record import RunRecord

KNOWN = Path(".work/results")
"""Where the runner notes what it knows, a file for each fingerprint."""


def known(folder: Path, key: str) -> bool:
    """Whether the runner has noted the result of a fingerprint."""
    return (folder / KNOWN / f"{key}.json").exists()


def give(remote: Remote, folder: Path, key: str) -> None:
    """Puts a stage's result, which DVC has pushed, and all that waits to be told of it, into the remote."""
    tell(remote, folder)
    remote.put(folder / KNOWN / f"{key}.json", f"results/{key}.json")


def tell(remote: Remote, folder: Path) -> None:
    """Puts the records of runs that wait here into the remote, for the head to forward."""
    for path in outbox.waiting(folder):
        remote.put(path, f"records/{path.name}")
        path.unlink()


def there(remote: Remote, key: str) -> bool:
    """Whether the result of a fingerprint lies in the remote."""
    return remote.has(f"results/{key}.json")


def take(remote: Remote, folder: Path, key: str) -> None:
    """Brings a result home: its bytes to DVC's cache, and itself to what the runner knows. Then the remote forgets it."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "result.json"
        remote.get(f"results/{key}.json", place)
        known = read_json(place)
    remote.fetch({str(known["path"]): str(known["md5"])})
    write_json(folder / KNOWN / f"{key}.json", known)
    remote.remove(f"results/{key}.json")
    remote.remove(f"checkpoints/{key}")


def records(remote: Remote, folder: Path, stage: str) -> None:
    """Brings home what nodes have to tell of a stage's runs; after its result, whose model the tracker may store."""
    own = re.compile(re.escape(stage) + r"-[0-9a-f]+-[0-9a-f]{8}\.json")
    for name in filter(own.fullmatch, remote.names("records")):
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) / name
            remote.get(f"records/{name}", place)
            record = run_record.read(place)
        if isinstance(record, RunRecord):
            outbox.leave(folder, replace(record, folder=folder.resolve()))
        remote.remove(f"records/{name}")


def text(remote: Remote, name: str) -> str:
    """A text by its SHA-256; "" stands for none."""
    if not name:
        return ""
    with tempfile.TemporaryDirectory() as scratch:
        remote.get(f"texts/{name}", Path(scratch) / "text")
        return (Path(scratch) / "text").read_bytes().decode()
