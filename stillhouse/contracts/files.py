"""JSON files, how any file is written (whole or not at all, and the same bytes for the same values), and what its bytes are called."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.raw import content


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with sorted keys; NaN and infinity are refused, because they are not JSON."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path, within: Path | None = None) -> Any:
    """The value that a JSON file holds. Raises UserError naming file and line when it holds none, and as `raw.content` does."""
    return parse_json(path, content(path, within))


def parse_json(path: Path, content: bytes) -> Any:
    """The value of a file's bytes. Raises UserError as `read_json` does."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno} - wanted JSON - {error.msg}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} - wanted UTF-8 text - byte {error.start} is not") from None
    except RecursionError:
        raise UserError(f"{path} - wanted JSON - it is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits, or a name that is given twice
        raise UserError(f"{path} - wanted JSON - {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError at a name that is given twice: whoever wrote it meant one of the two values, and nobody knows which."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has several values of {next(name for name in names if names.count(name) > 1)!r:.100}")
    return found


def sweep(path: Path) -> None:
    """Removes what processes that died within `replace` left beside a path; nobody may be writing it now."""
    for left in path.parent.glob(f".{path.name}.*"):
        if left.suffix[1:].isdigit():
            left.unlink(missing_ok=True)


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside `path`, which takes its place only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def md5_of(file: Path) -> str:
    """The MD5 of a file's bytes, as DVC and the record of a run name it. Raises OSError if it cannot be read."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes. Raises OSError if it cannot be read."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
