"""A project's folder that was moved or copied: MLflow's database in it holds whole paths, which are mended before it is used.

Else models would be without their bytes, and what a copy records would lie in the folder of the original.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote

_EXPERIMENT = "stillhouse"
_ARTIFACTS = "mlartifacts"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Tables and columns of MLflow 3 with places of artifacts."""


def follow(root: Path, tracker: str) -> None:
    """Lets the database of a project's own tracker say where the artifacts are now; any other tracker is left alone.

    Raises sqlite3.Error if the folder was moved and the database cannot be written to, or is none.
    """
    root = root.resolve()
    if not _is_own(tracker, root / "mlflow.db"):
        return
    with closing(sqlite3.connect(root / "mlflow.db", isolation_level=None)) as connection:
        if _before(connection, root):
            connection.execute("begin immediate")
            if old := _before(connection, root):  # no other process has done it meanwhile
                _rewrite(connection, old, root)
            connection.execute("commit")


def _is_own(tracker: str, database: Path) -> bool:
    """Whether a tracker is this file; a link to the one of another project is none."""
    prefix = "sqlite:///"
    return tracker.startswith(prefix) and Path(tracker.removeprefix(prefix)).resolve() == database and database.is_file()


def _before(connection: sqlite3.Connection, root: Path) -> Path | None:
    """The folder that the project was in when its experiment was made or last mended; None if it is this one, under whatever path."""
    if not connection.execute("select 1 from sqlite_master where name = 'experiments'").fetchone():
        return None
    found = connection.execute("select artifact_location from experiments where name = ?", [_EXPERIMENT]).fetchone()
    place = (found and found[0]) or ""
    artifacts = _path(place).parent if _path(place).name.isdecimal() else _path(place)  # a server adds the experiment's number
    if not place.startswith("file:///") or artifacts.name != _ARTIFACTS:
        return None  # on a server, or where the reader wants it
    old = artifacts.parent
    with suppress(OSError):  # it is gone, or hidden from this user
        if os.path.samefile(old, root):
            return None
    return old


def _rewrite(connection: sqlite3.Connection, old: Path, new: Path) -> None:
    for table, column in _PLACES:
        rows = connection.execute(f"select rowid, {column} from {table} where {column} is not null").fetchall()
        for row, place in rows:
            now = _now(place, old, new)
            if now != place and (table == "experiments" or not _stayed(place, now)):
                connection.execute(f"update {table} set {column} = ? where rowid = ?", [now, row])


def _now(place: str, old: Path, new: Path) -> str:
    """A place in the old folder, as the same one in the new folder; any other place as it is."""
    for before, after in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
        if place == before or place.startswith(f"{before}/"):
            return after + place.removeprefix(before)
    return place


def _stayed(before: str, now: str) -> bool:
    """Whether bytes lie in the old place alone: those of a run after the move that was told before moves were followed."""
    return os.path.exists(_path(before)) and not os.path.exists(_path(now))


def _path(place: str) -> Path:
    return Path(unquote(place.removeprefix("file://"))) if place.startswith("file://") else Path(place)
