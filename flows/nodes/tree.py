"""A project on a node: one clone, one cache, and a worktree for each stage, whose scratch folder lets an interrupted one go on."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes import outputs, result
from stillhouse.flows.nodes.job import Job
from stillhouse.record import process
from stillhouse.record.remote import Remote, configure
from stillhouse.record.worktree import add, git, remove

KEPT = 10
"""Worktrees of a project that stay, the newest first."""


@dataclass(frozen=True)
class Tree:
    """Where a node keeps what it has of a job's project. `remote` is that of the project, as its commit names it."""

    home: Path
    job: Job

    @property
    def clone(self) -> Path:
        """The bare repository."""
        return self.home / "projects" / self.job.project / "repository"

    @property
    def place(self) -> Path:
        """The worktree of the job's stage."""
        name = f"{self.job.stage.replace('/', '-')}-{self.job.key[:12]}" + f"-{self.job.number}" * bool(self.job.number)
        return self.home / "projects" / self.job.project / "stages" / name

    @property
    def folder(self) -> Path:
        """The project in it."""
        return self.place / self.job.packed.prefix

    def lay(self) -> Remote:
        """Brings the worktree to the job's commit with its patch, dvc.lock and the data that the stage reads. Raises UserError."""
        carried = self.home / "projects" / self.job.project / "carried"
        with process.waiting_lock(carried / "lock"):  # two stages may come at once, and be the first of their project
            configure(carried, self.job.remote)
            remote = Remote(carried, self.job.project)
            self._commit(remote, carried)
            self._check_out()
        self._change(remote)
        configure(self.folder, self.job.remote, self.home / "projects" / self.job.project / "cache")
        if self.job.before:
            outputs.pull(self.folder, self.job.before)
        return remote

    def _change(self, remote: Remote) -> None:
        """Lays on top of the commit what the head has there."""
        if patch := result.text(remote, self.job.packed.patch):
            git(self.place, "apply", "--whitespace=nowarn", "-", given=patch.encode())
        if lock := result.text(remote, self.job.packed.lock):
            (self.folder / "dvc.lock").write_text(lock, encoding="utf-8")

    def _commit(self, remote: Remote, carried: Path) -> None:
        if not self.clone.exists():
            subprocess.run(["git", "init", "--quiet", "--bare", str(self.clone)], check=True)
        known = subprocess.run(["git", "-C", str(self.clone), "cat-file", "-e", self.job.packed.commit], capture_output=True, check=False)
        if known.returncode:
            remote.get(f"commits/{self.job.packed.commit}", carried / "bundle")
            git(self.clone, "fetch", "--quiet", str(carried / "bundle"), f"+HEAD:refs/commits/{self.job.packed.commit}")

    def _check_out(self) -> None:
        """What git ignores stays: the scratch folders, and data that are looked at again by their hash."""
        if not (self.place / ".git").exists():
            self._clear()
            add(self.clone, self.place, self.job.packed.commit)
        git(self.place, "checkout", "--quiet", "--force", "--detach", self.job.packed.commit)
        git(self.place, "clean", "--quiet", "-fd")

    def _clear(self) -> None:
        """Removes what is left of this worktree, and the oldest ones where there are many; not those in which a stage runs."""
        remove(self.clone, self.place)
        places = sorted(
            (path for path in self.place.parent.glob("*") if path.is_dir()), key=lambda path: path.stat().st_mtime, reverse=True
        )
        for place in places[KEPT:]:
            with suppress(UserError), process.lease(lease_of(place)):
                remove(self.clone, place)


def lease_of(place: Path) -> Path:
    """What a process holds that works in a worktree."""
    return place.with_name(f"{place.name}.lease")
