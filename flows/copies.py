"""Copies of a project to run other settings in: git worktrees with the changes that are not committed yet.

They share DVC's cache, the known results and the raw data with the project.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stillhouse.contracts.errors import UserError

_GIT = ("git", "-c", "core.hooksPath=/dev/null")
"""Hooks of the user are for the user's own checkouts."""


@contextmanager
def made(folder: Path, root: Path, names: Sequence[str]) -> Iterator[list[Path]]:
    """A copy of the project in `folder` per name, in the folder `root`; they are removed at the end, what else lies in `root` stays.

    Raises UserError where git has no commit to start from.
    """
    _remove(folder, [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else [])  # of a sweep that was killed
    root.mkdir(parents=True, exist_ok=True)
    try:
        yield [_copy(folder, root / name) for name in names]
    finally:
        _remove(folder, [root / name for name in names])


def _remove(folder: Path, places: Sequence[Path]) -> None:
    for place in places:
        subprocess.run([*_GIT, "worktree", "remove", "--force", place], cwd=folder, capture_output=True, check=False)
        shutil.rmtree(place, ignore_errors=True)
    subprocess.run([*_GIT, "worktree", "prune"], cwd=folder, capture_output=True, check=False)


def _copy(folder: Path, place: Path) -> Path:
    _git(folder, "worktree", "add", "--quiet", "--detach", str(place), "HEAD")
    if patch := _git(folder, "diff", "--binary", "HEAD"):
        _git(place, "apply", "--whitespace=nowarn", "-", text=patch)
    project = place / _git(folder, "rev-parse", "--show-prefix").decode().strip()
    _share(folder, project)
    return project


def _share(folder: Path, project: Path) -> None:
    if (local := folder / ".dvc/config.local").exists():
        shutil.copy(local, project / ".dvc")
    _dvc(project, "config", "--local", "cache.dir", _dvc(folder, "cache", "dir"))
    (project / "data/raw").mkdir(parents=True, exist_ok=True)
    for path in (folder / "data/raw").iterdir() if (folder / "data/raw").is_dir() else ():
        if not (project / "data/raw" / path.name).exists():
            (project / "data/raw" / path.name).symlink_to(path.resolve())
    (folder / ".work/results").mkdir(parents=True, exist_ok=True)
    (project / ".work").mkdir(exist_ok=True)
    (project / ".work/results").symlink_to((folder / ".work/results").resolve())


def _git(folder: Path, *words: str, text: bytes | None = None) -> bytes:
    done = subprocess.run([*_GIT, *words], cwd=folder, input=text, capture_output=True, check=False)
    if done.returncode:
        raise UserError(f"wanted a project with a commit in git - git {words[0]}: {' '.join(done.stderr.decode(errors='replace').split())}")
    return done.stdout


def _dvc(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc {words[0]}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()
