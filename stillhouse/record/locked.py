"""A dvc.lock that can be read at all: DVC's own reader dies of one that is nested deeply, and takes numbers and dates for granted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.raw import content
from stillhouse.contracts.yamls import require_plain
from stillhouse.record.hashes import LOCK_REMEDY

_MOST = 1_000_000
"""Values and keys."""


def check(folder: Path) -> None:
    """Raises UserError, with the remedy, where the dvc.lock of a folder is no regular file, no YAML, or nested deeply."""
    path = folder / "dvc.lock"
    try:
        if path.exists() or path.is_symlink():
            parse(content(path).decode())
    except (UserError, UnicodeDecodeError) as error:
        words = shortened(" ".join(str(error).split()), 300)
        raise UserError(f"dvc.lock is damaged, or holds the marks of an unfinished merge ({words}): {LOCK_REMEDY}") from None


def parse(text: str) -> Any:
    """The value of a text in YAML. Raises UserError where it is none, nested deeply or endless."""
    try:
        require_plain(text, "dvc.lock", _MOST)
        return YAML(typ="safe").load(text)
    except UserError:
        raise
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:  # numbers, dates, bytes and keys that are none
        raise UserError(f"wanted YAML - {shortened(' '.join(str(error).split()), 300)}") from None
