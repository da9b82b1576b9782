"""The state of the code in git when a stage starts: the commit, and what lies on top of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import has_password, hide

PATCH_BYTES = 1_000_000
"""A larger patch is not kept: it would be data, and those belong to DVC."""
FILE_BYTES = 50_000_000
"""Changed files that are larger than this together are too large for even a try at a patch."""
LISTED = 1_000
"""Untracked files that are named."""
SECRETS = (
    ".env*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".htpasswd",
    ".dockercfg",
    ".aws",
    ".ssh",
    ".gnupg",
    ".kube",
    "config.local",
    "*secret*",
    "*credential*",
    "*password*",
    "*token*.json",
    "*token*.txt",
)
"""File and folder names, in any case, that look like secrets: nothing of them is recorded but the name."""
TITLE = 100
"""Characters of a title."""


@dataclass(frozen=True)
class Revision:
    """`commit` is "" without a repository. Paths are seen from the repository's top.

    `changed` are tracked files that differ from the commit, and untracked ones that the stage depends on; `patch` makes them of the
    commit, or is "" for the reason that `omitted` gives. `untracked` are files that the stage does not depend on. `left_out` are
    those of `changed` that look like secrets, so that the patch is without them.
    """

    commit: str
    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    patch: str = ""
    omitted: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def dirty(self) -> bool:
        """Whether the commit alone does not say what ran."""
        return bool(self.changed)


def head(folder: Path) -> str:
    """The commit, "" without a repository or a commit in it, or without git.

    Raises:
        UserError: git refuses the folder, because it is another user's; without a word the record would be of no commit.
    """
    # Its messages are told apart below, so they must be in English.
    command, english = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"], {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=english)
    except FileNotFoundError:
        return ""
    said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    if done.returncode and said and "not a git repository" not in said:
        remedy = f"git config --global --add safe.directory '{folder.resolve()}'"
        raise UserError(
            f"{folder.resolve()} - wanted the commit of this folder - git says {hide(said[:300])!r} - if you trust it: {remedy}"
        )
    return "" if done.returncode else done.stdout.decode().strip()


def take(folder: Path, dependencies: Iterable[str], secrets: Iterable[str] = ()) -> Revision:
    """The state of the project in `folder`, which may be a part of a larger repository; `dependencies` are paths in that folder.

    What stages write does not count: what lies under data but not under data/raw, and dvc.lock; nor does what lies outside the folder.
    `secrets` are patterns of file and folder names beside `SECRETS`. Raises UserError if git does not tell.
    """
    commit = head(folder)
    if not commit:
        return Revision("")
    prefix = PurePosixPath(_git(folder, "rev-parse", "--show-prefix").decode().strip())
    needed = [prefix / path for path in dependencies]
    changed, added, untracked = list[str](), list[str](), list[str]()
    for entry in (
        _git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".").decode(errors="replace").split("\0")
    ):
        state, path = entry[:2], PurePosixPath(entry[3:])
        if not entry or _is_written(path, prefix):
            continue
        unknown = state == "??"
        kept = added if unknown and any(path.is_relative_to(each) for each in needed) else untracked if unknown else changed
        kept.append(str(path))
    patterns = [pattern.lower() for pattern in (*SECRETS, *secrets)]
    left_out = [path for path in (*changed, *added) if _is_secret(path, patterns)]
    changed_shown, added_shown = ([path for path in paths if path not in left_out] for paths in (changed, added))
    patch, omitted = _patch(folder, changed_shown, added_shown) if changed_shown or added_shown else ("", "")
    return Revision(commit, (*changed, *added), tuple(untracked[:LISTED]), patch, omitted, tuple(left_out))


def _is_secret(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(part, pattern) for part in PurePosixPath(path.lower()).parts for pattern in patterns)


def title(folder: Path) -> str:
    """What people call what runs now: the name of the DVC experiment, else the subject of the last commit, "" without either."""
    found = os.environ.get("DVC_EXP_NAME") or _git(folder, "log", "-1", "--format=%s").decode(errors="replace").strip()
    return found if len(found) <= TITLE else f"{found[: TITLE - 3]}..."


def _is_written(path: PurePosixPath, prefix: PurePosixPath) -> bool:
    inside = path.relative_to(prefix).parts if path.is_relative_to(prefix) else path.parts
    return inside[-1] == "dvc.lock" or (inside[0] == "data" and inside[1:2] != ("raw",))


def _patch(folder: Path, changed: list[str], added: list[str]) -> tuple[str, str]:
    """The patch, and why there is none."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    size = sum((top / path).stat().st_size for path in [*changed, *added] if (top / path).is_file())
    if size > FILE_BYTES:
        return "", f"the changed files have {size} bytes"
    with tempfile.TemporaryDirectory() as scratch:
        # In a copy of the index new files can be announced, so that the patch has them, and the user's own stays as it is.
        index = Path(scratch) / "index"
        # Its time stamp is kept: git trusts a file's size and time only where they are older than the index.
        shutil.copy2(folder / _git(folder, "rev-parse", "--git-path", "index").decode().strip(), index)
        if added:
            _git(folder, "add", "--intent-to-add", "--", *(f":(top,literal){path}" for path in added), index=index)
        options = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
        patch = _git(folder, "diff", *options, "HEAD", "--", *(f":(top,literal){path}" for path in [*changed, *added]), index=index)
    if len(patch) > PATCH_BYTES:
        return "", f"it has {len(patch)} bytes, and {PATCH_BYTES} are kept"
    try:
        text = patch.decode()
    except UnicodeDecodeError:
        return "", "a changed file is no UTF-8 text"
    return ("", "a changed file has an address with a password in it") if has_password(text) else (text, "")


def _git(folder: Path, *arguments: str, index: Path | None = None) -> bytes:
    # Without optional locks, so that this never makes a commit of the user's fail.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    environment = {**os.environ, "GIT_INDEX_FILE": str(index)} if index else None
    return subprocess.run(command, capture_output=True, check=False, env=environment).stdout
