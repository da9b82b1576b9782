"""Whether everything is there that the stages to be run read."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError
from stillhouse.flows.graph import Node
from stillhouse.runner.entries import FOLDERS, Entries

_LEADING = {"teachers": ("raw", "a path under data/raw"), "students": ("teacher", "the name of its teacher")}
"""What dvc.yaml reads of each block to find out which stages there are."""


def require_shared(entries: Entries) -> None:
    """What all stages and dvc.yaml read of params.yaml is there: DVC would tell it late, or in its own words.

    Raises:
        UserError: `seed`, `threads`, `teachers` or `students` is missing, a block in them does not lead to the one before it, or the path
            of a teacher's raw data is empty.
    """
    remedies = {"seed": "seed: 0", "threads": "threads: 1"}
    wrong = [
        f"params.yaml: {name} - wanted by every stage - there is none - add `{remedies[name]}`"
        for name in remedies
        if name not in entries.values
    ]
    wrong += [sentence for kind in _LEADING for sentence in _unled(kind, entries.values.get(kind))]
    if wrong:
        raise UserError("\n".join(wrong))


def _unled(kind: str, blocks: Any) -> Iterator[str]:
    """What is wrong with the teachers, or with the students."""
    if not isinstance(blocks, Mapping):
        got = "none" if blocks is None else type(blocks).__name__
        yield f"params.yaml: {kind} - wanted blocks by their names - got {got} - without any it is `{kind}: {{}}`"
        return
    key, wanted = _LEADING[kind]
    for name, block in blocks.items():
        if name == "comparison" or "@" in name:  # with which DVC finds no stage
            yield f"params.yaml: {kind}.{name} - a name should have no @, and be none of {', '.join(FOLDERS)}, folders in data"
        value = block.get(key) if isinstance(block, Mapping) else None
        if not (isinstance(value, str) and value):
            got = "none" if value is None else "an empty one" if value == "" else repr(value)
            yield f"params.yaml: {kind}.{name}.{key} - wanted {wanted} - got {got}"
        elif key == "raw" and Path(os.path.normpath(value)).is_relative_to(Path("data", name)):
            made = f"got {value}, which is made of it: name a path in data/raw"
            yield f"params.yaml: {kind}.{name}.raw - wanted what {name} is made of - {made}"


def require(nodes: Sequence[Node]) -> None:
    """Missing data are told before anything runs, and not by a stage after hours of others.

    Raises:
        UserError: a stage that is due reads what is not there and no stage makes.
    """
    readers: dict[str, list[str]] = {}
    for node in nodes:
        for path in node.lacking:
            readers.setdefault(path, []).append(node.name)
    if readers:
        raise UserError(
            "\n".join(f"{path} - wanted by {', '.join(names)} - there is none - {_remedy(path)}" for path, names in readers.items())
        )


def _remedy(path: str) -> str:
    """How what is not there comes back."""
    command = ["git", "ls-files", "--error-unmatch", "--", path]
    if shutil.which("git") and not subprocess.run(command, capture_output=True, check=False).returncode:
        return f"`git restore {shlex.quote(path)}` brings it back"
    return "put it there, or bring it back with `dvc pull`"


def retrained(entries: Entries) -> Iterator[str]:
    """A sentence for each network that was trained again since a teacher was made of it: DVC sees neither, and nothing is due."""
    for verb, name in entries.stages():
        for _, path, sha256 in entries.members(name) if verb == "teach" else ():
            if (found := sums.told(Path(path), "model.safetensors")) not in ("", sha256):
                remedy = f"{{path: {path}, sha256: {found}}} takes it up, and until then {name} is made of the one before"
                yield f"teachers.{name}.teach.model.members - {path} has other weights now than {sha256[:10]}: {remedy}"
