"""Git worktrees of a project: made for a time beside it, and removed with all that has come to lie in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from stillhouse.contracts.errors import UserError


def git(folder: Path, *words: str, given: bytes | None = None) -> bytes:
    """What git prints; hooks of the user are for the user's own checkouts. Raises UserError with git's words where it fails."""
    done = subprocess.run(_command(folder, *words), input=given, capture_output=True, check=False)
    if done.returncode:
        raise UserError(f"git {words[0]}: {' '.join(done.stderr.decode(errors='replace').split())}")
    return done.stdout


def add(folder: Path, place: Path, commit: str, patch: bytes = b"") -> Path:
    """A worktree of a commit in `place`, with a patch on top; returns where the project of `folder` lies in it.

    Raises UserError where there is no such commit, the patch does not fit, or DVC could do nothing there.
    """
    if git(folder, "rev-parse", "--show-superproject-working-tree").strip():
        raise UserError(
            f"{folder} - wanted a clone by itself, as DVC cannot work in a copy of a git submodule - clone the project elsewhere"
        )
    git(folder, "worktree", "add", "--quiet", "--detach", str(place), commit)
    if patch:
        git(place, "apply", "--whitespace=nowarn", "-", given=patch)
    return place / git(folder, "rev-parse", "--show-prefix").decode().strip()


def remove(folder: Path, place: Path) -> None:
    """Never fails: what git no longer knows, or what is gone, is no worktree any more."""
    subprocess.run(_command(folder, "worktree", "remove", "--force", str(place)), capture_output=True, check=False)
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run(_command(folder, "worktree", "prune"), capture_output=True, check=False)


def _command(folder: Path, *words: str) -> list[str]:
    return ["git", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
