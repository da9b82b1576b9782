"""A folder's own hashes, so that bytes that have rotted are seen by whoever reads them, with DVC or without.

`SHA256SUMS` lies in the folder and is what `sha256sum --check` reads: a line per file with its hash and its path in the folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import replace, sha256_of
from stillhouse.contracts.raw import below, content

NAME = "SHA256SUMS"
MOST = 2**20
"""The most files and folders of prepared data or of a model."""
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write(folder: Path) -> None:
    """Gives a folder the hashes of all files that lie in it now."""
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in _files(folder)]
    replace(folder / NAME, lambda path: path.write_text("".join(lines), encoding="utf-8"))


def check(folder: Path) -> None:
    """Makes sure that a folder has the files that its hashes name, with those bytes; one without any hashes is taken as it is.

    Raises UserError naming the first file that differs, is missing or is not named.
    """
    if not (folder / NAME).exists():
        return
    wanted = _read(folder / NAME)
    if different := sorted(wanted.keys() ^ set(_files(folder))):
        state = "is missing" if different[0] in wanted else "was not there when the folder was written"
        raise _rotten(folder / different[0], state)
    for name, sha256 in wanted.items():
        if sha256_of(folder / name) != sha256:
            raise _rotten(folder / name, "no longer has the bytes that were written")


def told(folder: Path, name: str) -> str:
    """The hash that a folder says a file of it has, "" if it does not say. Raises UserError as `check` does."""
    return _read(folder / NAME).get(name, "") if (folder / NAME).exists() else ""


def _rotten(path: Path, state: str) -> UserError:
    return UserError(f"{path} {state}: make or fetch the folder again; in a project, `stillhouse verify` finds and mends all such files")


def _read(path: Path) -> dict[str, str]:
    found = [_LINE.fullmatch(line) for line in content(path, path.parent).decode(errors="replace").splitlines()]
    if not all(found):
        raise _rotten(path, "holds something else than hashes")
    return {match[2]: match[1] for match in found if match}


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in below(folder, MOST) if path.is_file() and path.name != NAME)
