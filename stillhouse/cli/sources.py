"""Whether everything is there that the stages to be run read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError
from stillhouse.flows.graph import Node
from stillhouse.runner.entries import Entries


def require_shared(entries: Entries) -> None:
    """What all stages read of params.yaml is there: DVC would tell it only when the first stage starts, in its own words.

    Raises:
        UserError: `seed` or `threads` is missing, or the path of a teacher's raw data is empty.
    """
    remedies = {"seed": "seed: 0", "threads": "threads: 1"}
    if missing := [name for name in remedies if name not in entries.values]:
        raise UserError(
            "\n".join(f"params.yaml: {name} - wanted by every stage - there is none - add `{remedies[name]}`" for name in missing)
        )
    if empty := [name for verb, name in entries.stages() if verb == "prepare" and entries.raw(name) == ""]:
        raise UserError("\n".join(f"params.yaml: teachers.{name}.raw - wanted a path under data/raw - got an empty one" for name in empty))


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
        remedy = "put it there, or bring it back with `dvc pull`"
        raise UserError("\n".join(f"{path} - wanted by {', '.join(names)} - there is none - {remedy}" for path, names in readers.items()))


def retrained(entries: Entries) -> Iterator[str]:
    """A sentence for each network that was trained again since a teacher was made of it: DVC sees neither, and nothing is due."""
    for verb, name in entries.stages():
        for _, path, sha256 in entries.members(name) if verb == "teach" else ():
            if (found := sums.told(Path(path), "model.safetensors")) not in ("", sha256):
                remedy = f"{{path: {path}, sha256: {found}}} takes it up, and until then {name} is made of the one before"
                yield f"teachers.{name}.teach.model.members - {path} has other weights now than {sha256[:10]}: {remedy}"
