"""The checkpoint of a stage that runs on a node, kept in the remote, so that another node can go on from it.

The candidates that several nodes make for one search lie in it, and go from each to all others through the remote.
"""

from __future__ import annotations

import os
from pathlib import Path

from stillhouse.flows.nodes.job import Job
from stillhouse.record.part import CANDIDATES
from stillhouse.record.remote import Remote

EVERY = float(os.environ.get("STILLHOUSE_PUSH_SECONDS", "60"))
"""Seconds between two looks at what is new: at most that much work is lost with a node, beside what the stage itself had not saved."""
OFTEN = min(EVERY, 3.0)
"""Seconds between two looks at what other nodes have made."""


class Checkpoints:
    """The files of one stage's checkpoint, here and in the remote."""

    def __init__(self, remote: Remote, folder: Path, job: Job) -> None:
        self._remote, self._name = remote, f"checkpoints/{job.key}"
        self._place = folder / ".work" / job.stage / job.key / "checkpoint"
        self._given: dict[str, tuple[int, int]] = {}
        self._shared = job.count > 1

    def take(self) -> None:
        """Brings here what another node has saved, unless this one has a checkpoint of its own."""
        if not self._place.exists():
            for name in self._remote.names(self._name):
                self._remote.get(f"{self._name}/{name}", self._place / name)

    def give(self) -> None:
        """Saves what is new, and removes what is gone."""
        here = self._files()
        for name in [name for name, mark in here.items() if self._given.get(name) != mark]:
            self._remote.put(self._place / name, f"{self._name}/{name}")
        for name in self._given.keys() - here.keys():
            self._remote.remove(f"{self._name}/{name}")
        self._given = here

    def _files(self) -> dict[str, tuple[int, int]]:
        """Name -> (time, bytes); hidden files are still being written, and shared ones have their own way."""
        found = {}
        for path in self._place.rglob("*") if self._place.exists() else ():
            name = path.relative_to(self._place)
            if path.is_file() and not path.name.startswith(".") and not (self._shared and name.is_relative_to(CANDIDATES.name)):
                state = path.stat()
                found[str(name)] = state.st_mtime_ns, state.st_size
        return found


class Candidates:
    """The candidates of one search, here and in the remote: a file for each, which never changes."""

    def __init__(self, remote: Remote, folder: Path, job: Job) -> None:
        self._remote, self._name = remote, f"checkpoints/{job.key}/{CANDIDATES.name}"
        self._place = folder / ".work" / job.stage / job.key / CANDIDATES
        self._seen: set[str] = set()

    def exchange(self) -> None:
        """Brings here what others have made, and gives them what was made here; nothing once the remote has forgotten all of it."""
        there = set(self._remote.names(self._name))
        if self._seen and not there:
            return
        here = {str(path.relative_to(self._place)) for path in self._place.glob("*/*.safetensors")}
        for name in here - there:
            self._remote.put(self._place / name, f"{self._name}/{name}")
        for name in there - here:
            self._fetch(name)
        self._seen |= here | there

    def _fetch(self, name: str) -> None:
        """Under its name it is whole."""
        place = self._place / name
        partial = place.with_name(f".{place.name}")
        self._remote.get(f"{self._name}/{name}", partial)
        partial.rename(place)
