"""A new project: all of its files, or none."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.project import example, pipeline, version
from stillhouse.project.pipeline import TEMPLATE

_COPIED = {
    ".gitignore": "gitignore",
    ".dvcignore": "dvcignore",
    ".dvc/config": "config",
    ".dvc/.gitignore": "dvc_gitignore",
    "parts/README.md": "parts.md",
}
"""Path in the project -> file of the template."""
_EXTENDED = (".gitignore", ".dvcignore")
"""What a folder may have already: a repository that is made on a server often begins with one. Lines that it lacks come behind its own."""


def create(folder: Path, name: str) -> list[str]:
    """Makes a project of a folder, with the example of that name; returns the paths of what was written.

    Git and DVC are initialised where they are not, and `.gitignore` and `.dvcignore` keep the lines that they have. Raises UserError if the
    folder has one of the other files, if there is no such example, or if Git or DVC does not work; then all is as it was.
    """
    if not shutil.which("git"):
        raise UserError("git is not installed, and a project is a Git repository: install it first")
    texts = _texts(name)
    with tempfile.TemporaryDirectory() as place:
        draft = Path(place)
        _call(draft, sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm")
        for path, text in texts.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, encoding="utf-8")
        # What DVC keeps under .dvc/tmp is of this machine and of the draft's place.
        found = [path.relative_to(draft) for path in draft.rglob("*") if path.is_file()]
        written = sorted(str(path) for path in found if path.parts[:2] != (".dvc", "tmp"))
        _refuse(folder, [path for path in written if path not in _EXTENDED])
        _extend(folder, draft)
        _put(draft, folder, written)
    return written


def _texts(name: str) -> dict[str, str]:
    stages = pipeline.text()
    copied = {path: (TEMPLATE / source).read_text(encoding="utf-8") for path, source in _COPIED.items()}
    return copied | example.files(name) | {"dvc.yaml": stages, pipeline.VERSION_FILE: version.text(pipeline.digest(stages))}


def _refuse(folder: Path, paths: list[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no folder: name one, or a path at which there is nothing yet")
    there = [path for path in ("dvc.lock", *paths) if (folder / path).exists()]
    if there:
        raise UserError(f"{folder} has {', '.join(there)} already, and nothing is overwritten: name another folder, or move them away")


def _extend(folder: Path, draft: Path) -> None:
    """Puts what the folder's own lists have before what ours have."""
    for path in _EXTENDED:
        if (folder / path).is_file():
            theirs, ours = ((place / path).read_bytes().splitlines(keepends=True) for place in (folder, draft))
            if theirs and not theirs[-1].endswith(b"\n"):
                theirs[-1] += b"\n"
            (draft / path).write_bytes(b"".join([*theirs, *(line for line in ours if line not in theirs)]))


def _put(draft: Path, folder: Path, paths: list[str]) -> None:
    """Copies the files and sees to Git; takes back what it did if that fails."""
    made: list[Path] = []
    former = {folder / path: (folder / path).read_bytes() for path in paths if (folder / path).is_file()}
    try:
        for path in paths:
            target = folder / path
            for place in _missing_folders(target.parent):
                place.mkdir()
                made.append(place)
            made.append(target)
            shutil.copy(draft / path, target)
        if _outside_git(folder):
            made.append(folder / ".git")
            _call(folder, "git", "init", "--quiet")
    except BaseException as error:
        for place in reversed(made):
            _remove(place)
        for place, content in former.items():
            place.write_bytes(content)
        if isinstance(error, OSError):
            raise UserError(f"{folder} cannot be written: {error.strerror} ({error.filename})") from error
        raise


def _missing_folders(folder: Path) -> list[Path]:
    """Those that are to be made for it, the outermost first."""
    return [each for each in reversed([folder, *folder.parents]) if not each.exists()]


def _remove(path: Path) -> None:
    if path.name == ".git":
        shutil.rmtree(path, ignore_errors=True)
    elif path.is_dir():
        path.rmdir()
    elif path.exists():
        path.unlink()


def _outside_git(folder: Path) -> bool:
    return subprocess.run(["git", "-C", str(folder), "rev-parse", "--git-dir"], capture_output=True, check=False).returncode != 0


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command[-4:])} failed: {' '.join((done.stderr or done.stdout).split())}")
