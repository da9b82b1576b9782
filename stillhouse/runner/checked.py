"""The settings of every stage with all defaults filled in, kept from the last check of params.yaml.

To fill them in, the parts must be imported, and PyTorch with them; what a check has found stays true until params.yaml, the code of a
part or a trained network that a teacher is made of changes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from stillhouse import registry
from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.record import code, text
from stillhouse.runner.entries import PARAMS, Entries

_KEPT = Path(".work/settings.json")


def read(entries: Entries) -> dict[str, Any] | None:
    """Stage -> its settings, of a check of this params.yaml with this code; None if there was none."""
    try:
        kept: dict[str, Any] = read_json(_KEPT) if _KEPT.exists() else {}
        return kept["stages"] if kept.get("key") == key(entries) else None
    except UserError:
        return None


def check(entries: Entries) -> dict[str, Any]:
    """Stage -> its settings, checked now and kept. Raises UserError with one line per mistake in the whole file."""
    from stillhouse.runner import params

    found = key(entries) if _all_known(entries) else ""
    if found:
        code.require_followed(code.reach(_roots(entries)))
    stages = {f"{verb}@{name}": block.facts for (verb, name), block in params.check(PARAMS).items()}
    if found:
        write_json(_KEPT, {"key": found, "stages": stages})
        text.keep()
    return stages


def _all_known(entries: Entries) -> bool:
    try:
        return bool(_roots(entries))
    except UserError:
        return False


def _roots(entries: Entries) -> list[str]:
    measured = (found.module for found in registry.known("evaluations").values())
    return sorted({*measured, *(root for verb, name in entries.stages() for root in entries.roots(verb, name))})


def key(entries: Entries) -> str:
    """What a check depends on: params.yaml, the code of all parts that it names, and the trained networks that teachers are made of.

    Raises UserError at a part that is not known.
    """
    teachers = [name for verb, name in entries.stages() if verb == "teach"]
    members = {path: sums.told(Path(path), "model.safetensors") for name in teachers for _, path, _ in entries.members(name)}
    facts = json.dumps([entries.values, code.digests(_roots(entries)), members], sort_keys=True, default=str)
    return hashlib.sha256(facts.encode()).hexdigest()
