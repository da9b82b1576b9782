"""The files of an installed package as raw data: found without importing the package, and held to their hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from stages.core.errors import UserError
from stages.core.kinds import Settings


class PackagedFile(Settings):
    """Where the file lies under the folder that the package is installed in, and the hash of its bytes."""

    path: str
    sha256: str


def read_packaged(place: str, package: str, file: PackagedFile) -> tuple[Path, bytes]:
    """The file's path and its bytes. Raises UserError, beginning with `place`, when there is none or it has another hash."""
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(file.path)))
        content = path.read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError):
        raise UserError(f"{place} - wanted {file.path} of the installed package {package} - there is none") from None
    if (got := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise UserError(f"{place} - wanted {file.path} with sha256 {file.sha256} - got {got}")
    return path, content
