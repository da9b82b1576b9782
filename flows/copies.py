"""Copies of a project to run other settings in: git worktrees with the changes and new files that are not committed yet.

They share DVC's cache, the known results and the raw data with the project.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.flows.dvc_command import dvc
from stillhouse.record import revision
from stillhouse.record.worktree import add, git, remove

RAW = Path("data/raw")


@contextmanager
def made(folder: Path, root: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """A copy of the project in `folder` per name, in the folder `root`; they are removed at the end, what else lies in `root` stays.

    Raises UserError where git has no commit to start from.
    """
    if not revision.head(folder):
        raise UserError(f"{folder} - wanted a project in git with a commit, of which to make copies - there is none: git commit")
    for left in [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []:
        remove(folder, left)  # of a sweep that was killed
    root.mkdir(parents=True, exist_ok=True)
    try:
        yield [_copy(folder, root / name) for name in names]
    finally:
        for name in names:
            remove(folder, root / name)


def _copy(folder: Path, place: Path) -> Path:
    project = add(folder, place, "HEAD", git(folder, "diff", "--binary", "HEAD"))
    for path in _new(folder):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / path, project / path, follow_symlinks=False)
    _share(folder, project)
    return project


def _new(folder: Path) -> list[Path]:
    """Files that git neither knows nor ignores, such as a part that was written just now; raw data are shared instead."""
    listed = git(folder, "ls-files", "--others", "--exclude-standard", "-z").decode().split("\0")
    return [path for path in map(Path, filter(None, listed)) if not path.is_relative_to(RAW)]


def _share(folder: Path, project: Path) -> None:
    if (local := folder / ".dvc/config.local").exists():
        shutil.copy(local, project / ".dvc")
    dvc(project, "config", "--local", "cache.dir", dvc(folder, "cache", "dir"))
    (project / RAW).mkdir(parents=True, exist_ok=True)
    for path in (folder / RAW).iterdir() if (folder / RAW).is_dir() else ():
        if not (project / RAW / path.name).exists():
            (project / RAW / path.name).symlink_to(path.resolve())
    (folder / ".work/results").mkdir(parents=True, exist_ok=True)
    (project / ".work").mkdir(exist_ok=True)
    (project / ".work/results").symlink_to((folder / ".work/results").resolve())
