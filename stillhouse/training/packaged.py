"""The files of an installed package as raw data: found without importing the package, and held to their hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings

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
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"{raw}: {where} - wanted {wanted} - {first['msg']}") from None


def read_packaged(place: str, package: str, file: PackagedFile) -> tuple[Path, bytes]:
    """The file's path and its bytes. Raises UserError, beginning with `place`, when there is none or it has another hash."""
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(file.path)))
        content = path.read_bytes()
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"{place} - wanted {file.path} of the package {package} - it is not installed - pip install 'stillhouse[demo]' brings it"
        ) from None
    except OSError:
        raise UserError(f"{place} - wanted {file.path} of the installed package {package} - there is none") from None
    if (got := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise UserError(f"{place} - wanted {file.path} with sha256 {file.sha256} - got {got}")
    return path, content
