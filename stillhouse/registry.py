"""Parts and verbs by their names: of this library, of the project's folder `parts/`, and of installed packages.

A part is a module that holds a record under a fixed name (`LOSS`, `SEARCH`, `EVALUATION`, `WORKLOAD`). The folder is the list: a file
`parts/losses/mine.py` is the loss `mine`. A package names its parts as entry points of the group `stillhouse.losses` and so on, with the
module as their value. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from stillhouse.contracts.errors import UserError

if TYPE_CHECKING:
    from stillhouse.contracts.parts import Evaluation, Loss, Search, Workload

VERBS = ("prepare", "teach", "search", "distill", "evaluate", "compare")
Kind = Literal["workloads", "searches", "losses", "evaluations"]
PARTS = "parts"
"""The folder of a project, and the package as which it is imported."""
_WORDS: dict[Kind, tuple[str, str]] = {
    "workloads": ("workload", "WORKLOAD"),
    "searches": ("search method", "SEARCH"),
    "losses": ("loss", "LOSS"),
    "evaluations": ("evaluation", "EVALUATION"),
}
_FORMER = {"knowledge_graph": "knowledge", "temporal_graph": "temporal"}
"""Names that workloads had once: they stand in users' files and in models' folders."""


@dataclass(frozen=True)
class Found:
    """A part that may be imported: its module, and in words where it comes from."""

    module: str
    origin: str


def workload(name: str) -> Workload[Any]:
    """The workload of that name; an unknown name is a UserError that lists what exists."""
    part: Workload[Any] = _part("workloads", name)
    return part


def search(name: str) -> Search:
    """The search method of that name."""
    part: Search = _part("searches", name)
    return part


def loss(name: str) -> Loss:
    """The distillation loss of that name."""
    part: Loss = _part("losses", name)
    return part


def evaluation(name: str) -> Evaluation:
    """The evaluation of that name."""
    part: Evaluation = _part("evaluations", name)
    return part


def verb(name: str) -> ModuleType:
    """The module of a verb: it holds a function of the same name and its `SETTINGS`."""
    if name not in VERBS:
        raise UserError(f"unknown verb {name!r}; there are {', '.join(VERBS)}")
    return importlib.import_module(f"stillhouse.stages.{name}")


def known(kind: Kind) -> dict[str, Found]:
    """All parts of a kind by name, none of them imported.

    Raises UserError if two have one name: which of them made a result must never depend on an order.
    """
    found: dict[str, Found] = {}
    for name, part in _all(kind):
        if name in found:
            raise UserError(f"two {kind} are named {name!r}: {found[name].origin} and {part.origin}; rename one of them")
        found[name] = part
    return dict(sorted(found.items()))


def module(kind: Kind, name: str) -> str:
    """The name of the module of a part."""
    parts, name = known(kind), _FORMER.get(name, name)
    if name not in parts:
        raise UserError(f"unknown {_WORDS[kind][0]} {name!r}; there are {', '.join(parts) or 'none'}")
    return parts[name].module


def _part(kind: Kind, name: str) -> Any:
    # The name is looked up before the import, so that an ImportError inside a part is not taken for a missing one.
    loaded, constant = importlib.import_module(module(kind, name)), _WORDS[kind][1]
    if not hasattr(loaded, constant):
        raise UserError(f"{loaded.__file__} - wanted a part under the name {constant} - there is none")
    return getattr(loaded, constant)


def _all(kind: Kind) -> Iterator[tuple[str, Found]]:
    for name, dotted in _library(kind):
        yield name, Found(dotted, "one of this library")
    for name, dotted in _own(kind):
        yield name, Found(dotted, f"{PARTS}/{kind}/{name}")
    for entry in importlib.metadata.entry_points(group=f"stillhouse.{kind}"):
        yield entry.name, Found(entry.module, f"{entry.value} of {entry.dist.name if entry.dist else 'a package'}")


@cache
def _library(kind: Kind) -> tuple[tuple[str, str], ...]:
    """Workloads lie in the folders of their families, such as workloads/pictures/classify, or stand alone."""
    package = f"stillhouse.{kind}"
    folder = Path(__file__).parent / kind
    if kind != "workloads":
        return tuple((name, f"{package}.{name}") for name in _names(folder))
    families = [name for name in _names(folder) if (folder / name / "_shared").is_dir()]
    alone = tuple((name, f"{package}.{name}") for name in _names(folder) if name not in families)
    return (*alone, *((name, f"{package}.{family}.{name}") for family in families for name in _names(folder / family)))


def _own(kind: Kind) -> Iterator[tuple[str, str]]:
    """Those of the project, whose folder is where Python looks first; of a model that was packed with its parts, likewise."""
    for name in sorted({name for place in _own_folders() for name in _names(place / kind)}):
        yield name, f"{PARTS}.{kind}.{name}"


def _own_folders() -> list[Path]:
    # Not imported: a package's own code must not run before its fingerprint is taken.
    spec = PathFinder.find_spec(PARTS, sys.path)
    return [Path(place) for place in spec.submodule_search_locations or ()] if spec else []


def _names(folder: Path) -> list[str]:
    return sorted(info.name for info in pkgutil.iter_modules([str(folder)]) if not info.name.startswith("_"))
