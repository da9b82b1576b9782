"""What DVC's read-write lock still holds for killed processes.

DVC frees it when a holder's process number is gone. In a container whose first process reaps nobody, a killed DVC whose
parent is dead too keeps its number as a zombie, and the folder would be busy for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from dvc.lock import make_lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK


def release(repo: Repo) -> None:
    """Drops the entries of zombies; a file that is not as expected is left to DVC to complain about."""
    folder = Path(str(repo.tmp_dir))
    path = folder / RWLOCK_FILE
    if not path.exists() or not _zombies(_entries(path)):
        return
    with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder)):
        entries = _entries(path)
        dead = _zombies(entries)
        write = {place: holder for place, holder in entries.get("write", {}).items() if holder.get("pid") not in dead}
        kept = {
            place: [holder for holder in holders if holder.get("pid") not in dead] for place, holders in entries.get("read", {}).items()
        }
        path.write_text(
            json.dumps({"write": write, "read": {place: holders for place, holders in kept.items() if holders}}), encoding="utf-8"
        )


def _entries(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, OSError):
        return {}


def _zombies(entries: dict[str, Any]) -> set[int]:
    readers = (holder for holders in entries.get("read", {}).values() for holder in holders)
    return {pid for pid in _numbers([*entries.get("write", {}).values(), *readers]) if _is_zombie(pid)}


def _numbers(holders: Iterable[dict[str, Any]]) -> set[int]:
    return {int(holder["pid"]) for holder in holders if holder.get("pid")}


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
