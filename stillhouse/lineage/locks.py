"""What dvc.lock says: the one in the folder, and those in the history of git."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.lineage.links import Link, Thing
from stillhouse.record import hashes, locked


def here(folder: Path) -> list[Link]:
    """The stages of the folder's dvc.lock, with the commit that it is of if nobody has changed it since; none without one.

    Raises:
        UserError: it cannot be read.
    """
    path = folder / "dvc.lock"
    locked.check(folder)
    return _links(path.read_text(encoding="utf-8"), _written_at(folder)) if path.exists() else []


def _written_at(folder: Path) -> str | None:
    """The commit at which git has the dvc.lock that lies there, None for one that is not committed."""
    changed = _git(folder, "status", "--porcelain", "--", "dvc.lock")
    return None if changed else _git(folder, "log", "-1", "--format=%H", "--", "dvc.lock").strip() or None


def committed(folder: Path, thing: Thing) -> Link | None:
    """The stage that made a thing according to the first commit, in any branch, whose dvc.lock says so."""
    for commit in _git(folder, "log", "--all", "--reverse", "--format=%H", f"-S{thing[1]}", "--", "dvc.lock").split():
        for link in _links(_git(folder, "show", f"{commit}:./dvc.lock"), commit):
            if link.outputs.get(thing[0]) == thing[1]:
                return link
    return None


def _links(text: str, commit: str | None = None) -> list[Link]:
    try:
        stages = (locked.parse(text) or {}).get("stages", {})
        return [_link(name, entry, commit) for name, entry in stages.items()]
    except (UserError, AttributeError, KeyError, TypeError) as error:
        place = f"dvc.lock of commit {commit[:12]} cannot be read" if commit else "dvc.lock cannot be read"
        remedy = "" if commit else f": {hashes.LOCK_REMEDY}"
        raise UserError(f"{place} ({shortened(' '.join(str(error).split()), 300)}){remedy}") from error


def _link(name: str, entry: Mapping[str, Any], commit: str | None) -> Link:
    inputs, outputs = _hashes(entry, "deps"), _hashes(entry, "outs")
    return Link(name, inputs, outputs, _fingerprint(entry, inputs), commit=commit)


def _hashes(entry: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {item["path"]: str(item["md5"]) for item in entry.get(kind, []) if "md5" in item}


def _fingerprint(entry: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """As a stage takes it before it runs, so that the two can be compared."""
    facts = {"cmd": entry["cmd"], "deps": inputs, "params": entry.get("params", {})}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _git(folder: Path, *words: str) -> str:
    """What git prints; nothing without a repository."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
