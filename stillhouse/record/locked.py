"""A dvc.lock that can be read at all: DVC's own reader dies of one that is nested deeply, and takes numbers and dates for granted."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.raw import content
from stillhouse.contracts.yamls import require_plain
from stillhouse.record.hashes import LOCK_REMEDY

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_CHECKED = Path(".work/lock.json")
"""The hash of the dvc.lock that was whole."""
_MOST = 100_000
"""Values and keys, with what DVC repeats by its name (it does where two stages have one value in memory) written out."""


def check(folder: Path) -> None:
    """Raises UserError, with the remedy, where the dvc.lock of a folder is no regular file, no YAML, or nested deeply."""
    path = folder / "dvc.lock"
    try:
        if path.exists() or path.is_symlink():
            _once(folder / _CHECKED, content(path))
    except (UserError, UnicodeDecodeError) as error:
        words = shortened(" ".join(str(error).split()), 300)
        raise UserError(f"dvc.lock is damaged, or holds the marks of an unfinished merge ({words}): {LOCK_REMEDY}") from None


def _once(known: Path, written: bytes) -> None:
    """To look at every value takes as long as DVC's own reading, so what was found whole the last time is not looked at again."""
    digest = hashlib.sha256(written).hexdigest()
    with suppress(OSError, UserError):
        if read_json(known) == digest:
            return
    _check_hashes(parse(written.decode()))
    with suppress(OSError):
        write_json(known, digest)


def _check_hashes(value: Any) -> None:
    """DVC makes paths of them, whatever they are. Raises UserError at one that is none or of no kind; what is no mapping is left to DVC."""
    if isinstance(value, dict | list):
        if isinstance(value, dict) and not _MD5.fullmatch(str(value.get("md5") or "0" * 32)):
            raise UserError(f"wanted an md5 of 32 digits - got {value['md5']!r:.100}")
        if isinstance(value, dict) and "path" in value and value.get("hash") == "":
            raise UserError(f"wanted a kind of hash, such as md5, for {value['path']!r:.100} - got none")
        for item in value.values() if isinstance(value, dict) else value:
            _check_hashes(item)


def parse(text: str) -> Any:
    """The value of a text in YAML. Raises UserError where it is none, nested deeply or endless."""
    try:
        require_plain(text, "dvc.lock", _MOST, expanded=True)
        return YAML(typ="safe").load(text)
    except UserError:
        raise
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:  # numbers, dates, bytes and keys that are none
        raise UserError(f"wanted YAML - {shortened(' '.join(str(error).split()), 300)}") from None
