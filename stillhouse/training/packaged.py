"""The files of an installed package as raw data: found without importing the package, and held to their hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.raw import LARGEST, content
from stillhouse.contracts.settings import Settings, first_mistake

Pointer = TypeVar("Pointer", bound=Settings)


class PackagedFile(Settings):
    """Where the file lies under the folder that the package is installed in, and the hash of its bytes."""

    path: str
    sha256: str


def read_pointer(raw: Path, kind: type[Pointer], wanted: str) -> Pointer:
    """What a JSON file says of raw data. Raises UserError, naming the first wrong field and what was `wanted`."""
    try:
        return kind.model_validate(read_json(raw))
    except ValidationError as error:
        where, mistake = first_mistake(error)
        raise UserError(f"{raw}: {where} - wanted {wanted} - {mistake}") from None


def read_packaged(place: str, package: str, file: PackagedFile) -> tuple[Path, bytes]:
    """The file's path and its bytes, of a regular file of at most `LARGEST` bytes in the folder that the package is installed in.

    Raises UserError, beginning with `place`, when there is none or it has another hash.
    """
    path = _located(place, package, file.path)
    if not os.path.isfile(path):
        raise UserError(f"{place} - wanted {file.path} of the installed package {package} - there is none")
    if (size := path.stat().st_size) > LARGEST:
        raise UserError(f"{place} - wanted a file of at most {LARGEST} bytes - {file.path} has {size}")
    try:
        found = content(path)
    except UserError as error:
        raise UserError(f"{place} - {error}") from None
    if (got := hashlib.sha256(found).hexdigest()) != file.sha256:
        raise UserError(f"{place} - wanted {file.path} with sha256 {file.sha256} - got {got}")
    return path, found


def _located(place: str, package: str, path: str) -> Path:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
        raise UserError(f"{place} - wanted a path within the folder that the package {package} is installed in - got {path[:200]!r}")
    try:
        return Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        raise UserError(
            f"{place} - wanted {path} of the package {package} - it is not installed - pip install 'stillhouse[demo]' brings it"
        ) from None
