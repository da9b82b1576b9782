"""The fingerprint of a result: everything that can change it, and nothing else.

DVC finds a stage due when a byte of a file that it depends on has changed. The fingerprint looks closer: the verb with its settings,
defaults filled in; the contents of the data that are read; the code that can be reached by imports, without comments and docstrings;
the seed and the number of threads. Names of teachers and students, and paths, are not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stillhouse import registry
from stillhouse.contracts import devices
from stillhouse.contracts.discovery import PARTS
from stillhouse.contracts.files import sha256_of
from stillhouse.record import code
from stillhouse.runner.entries import Entries

FORM = 1
"""Raised when the runner itself begins to call verbs in another way, so that results of before are not taken for those of now."""
DETERMINISTIC = "deterministic"
"""What a result tells of itself if params.yaml said so when it was made."""
_ROLES = ("prepared", "teacher", "found", "student", "reports")
_DISTRIBUTIONS = {"PIL": "pillow", "ruamel": "ruamel.yaml", "torch_geometric": "torch-geometric"}


@dataclass(frozen=True)
class Fingerprint:
    """`key` is the SHA-256 of `facts`; `environment` is what else made a result: versions of packages and the kind of device."""

    key: str
    facts: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


def take(verb: str, name: str | None, inputs: Mapping[str, str], settings: Any, entries: Entries) -> Fingerprint:
    """The fingerprint of what a stage would make now.

    `inputs` are all dependencies (path -> MD5, as DVC sees them), `settings` the verb's own with all defaults. Raises UserError if a part
    is not known, or imports what nobody would see an edit of.
    """
    measured = [item["evaluation"] for item in settings["evaluations"]] if verb == "evaluate" else []
    roots = [*entries.roots(verb, name), *(registry.module("evaluations", item) for item in measured)]
    reached = code.reach(roots)
    code.require_followed(reached)
    facts: dict[str, Any] = {
        "form": FORM,
        "verb": verb,
        "settings": settings,
        "data": {_role(path, entries.raw(name)): md5 for path, md5 in inputs.items() if not _is_code(path)},
        "code": {module: code.digest(file) for module, file in reached.items()},
        "seed": entries.seed,
        "threads": entries.threads,
    }
    if files := code.data(reached, PARTS):  # where there are none, nothing is said, as before
        facts["files"] = {path: sha256_of(file) for path, file in files.items()}
    if name and entries.deterministic:  # what was made without the setting keeps its fingerprint
        facts[DETERMINISTIC] = True
    environment = _environment(reached) | ({DETERMINISTIC: "yes"} if DETERMINISTIC in facts else {})
    if (number := devices.wanted(entries.block(verb, name))) > 1:  # of one, nothing is said, as before
        environment["devices"] = str(number)
    counted = facts | ({"environment": environment} if entries.environment == "due" else {})
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), default=str)
    return Fingerprint(hashlib.sha256(text.encode()).hexdigest(), facts, environment)


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What a result was made with and what is there now: "torch 2.12.0 then, 2.13.0 now". What is not known of one of them is left out."""
    return [f"{name} {then[name]} then, {now[name]} now" for name in sorted(then.keys() & now.keys()) if then[name] != now[name]]


def now(names: Iterable[str]) -> dict[str, str]:
    """What is there now of packages, "python" and "device"; a package that is not installed is left out."""
    here = {"python": platform.python_version(), "device": _device()}
    return {name: found for name in names if (found := here.get(name) or _version(name))}


def _role(path: str, raw: str | None) -> str:
    """What a verb calls a path: data are known by what they are for, and not by whose they are."""
    return "raw" if path == raw else Path(path).name if Path(path).name in _ROLES else path


def _is_code(path: str) -> bool:
    return Path(path).parts[0] in (*code.WATCHED, PARTS)


def _environment(reached: Mapping[str, Path]) -> dict[str, str]:
    """The versions of all packages that the code imports, of Python, and the kind of device."""
    return now([*sorted(_foreign(reached)), "python", "device"])


def _foreign(reached: Mapping[str, Path]) -> Iterator[str]:
    own = {name.partition(".")[0] for name in reached}
    for name in {used.partition(".")[0] for module, file in reached.items() for used in code.imports(file, module)} - own:
        if name not in sys.stdlib_module_names:
            yield _DISTRIBUTIONS.get(name, name)


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _device() -> str:
    """Which kind of device a stage would compute on, without asking PyTorch, whose import takes seconds."""
    wanted, visible = os.environ.get("STILLHOUSE_DEVICE", "auto"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted != "auto":
        return wanted.partition(":")[0]
    there = any(Path("/dev").glob("nvidia[0-9]*")) if visible is None else visible not in ("", "-1")
    return "cuda" if there else "cpu"
