"""Parts and verbs by their names: of this library, of the project's folder `parts/`, and of installed packages.

A part is a module that holds a record under a fixed name (`LOSS`, `SEARCH`, `EVALUATION`, `WORKLOAD`). The folder is the list: a file
`parts/losses/mine.py` is the loss `mine`. A package names its parts as entry points of the group `stillhouse.losses` and so on, with the
module as their value. Nothing is imported before it is asked for; a workload imports its model families itself.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from stillhouse.contracts import discovery, lines
from stillhouse.contracts.discovery import Found
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.imported import imported
from stillhouse.record import code

if TYPE_CHECKING:
    from stillhouse.contracts.parts import Evaluation, Loss, Search, Workload
    from stillhouse.contracts.runtime import MakeClock

CLOCK = "stillhouse.runtimes.clock"
"""The module of `clock`, which no import of a verb leads to: only a search that has a latency for its budget is made with it."""
VERBS = ("prepare", "teach", "search", "distill", "evaluate", "compare")
Kind = Literal["workloads", "searches", "losses", "evaluations"]
_WORDS: dict[Kind, tuple[str, str]] = {
    "workloads": ("workload", "WORKLOAD"),
    "searches": ("search method", "SEARCH"),
    "losses": ("loss", "LOSS"),
    "evaluations": ("evaluation", "EVALUATION"),
}
_FORMER = {"knowledge_graph": "knowledge", "temporal_graph": "temporal"}
"""Names that workloads had once: they stand in users' files and in models' folders."""
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:\w+")


def workload(name: str) -> Workload[Any]:
    """The workload of that name; an unknown name is a UserError that lists what exists."""
    _part("workloads", name)  # it is there, and is one
    return _looked(sys.modules[module("workloads", name)])


@cache
def _looked(loaded: ModuleType) -> Workload[Any]:
    """The workload of a module, whose functions are looked at: the same one each time that it is asked for."""
    from stillhouse.contracts.looked import looked_at

    package, _, name = loaded.__name__.rpartition(".")
    ours = package.startswith("stillhouse.")
    return looked_at(loaded.WORKLOAD, f"the workload {name}" if ours else lines.shown(str(loaded.__file__)))


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


def clock() -> MakeClock:
    """What measures a budget in milliseconds."""
    made: MakeClock = importlib.import_module(CLOCK).clock
    return made


def verb(name: str) -> ModuleType:
    """The module of a verb: it holds a function of the same name and its `SETTINGS`."""
    if name not in VERBS:
        raise UserError(f"unknown verb {name!r}; there are {', '.join(VERBS)}")
    return importlib.import_module(f"stillhouse.stages.{name}")


def known(kind: Kind) -> dict[str, Found]:
    """All parts of a kind by name, none of them imported. Raises UserError if two have one name."""
    return discovery.unique(kind, _all(kind))


def found(kind: Kind, name: str) -> Found:
    """Where a part is. Raises UserError, listing what exists, at an unknown name."""
    name = name if isinstance(name, str) else f"{name!r:.100}"  # of params.yaml, where it may be anything
    parts, name = known(kind), _FORMER.get(name, name)
    if name not in parts:
        raise UserError(f"unknown {_WORDS[kind][0]} {name!r:.200}; there are {', '.join(parts) or 'none'}")
    return parts[name]


def module(kind: Kind, name: str) -> str:
    """The name of the module of a part."""
    return found(kind, name).module


def families(workload: str) -> dict[str, Found]:
    """The model families of a workload by name, none of them imported."""
    dotted, name = module("workloads", workload), _FORMER.get(workload, workload)
    file = code.source(dotted)
    return discovery.families(name, dotted, file) if file else {}


def family_modules(workload: str) -> dict[str, str]:
    """The names of their modules: a workload finds its families by looking into folders, so that no import leads to them."""
    return {name: family.module for name, family in families(workload).items()}


def factory(block: Mapping[Any, Any]) -> str | None:
    """The module of the factory that a model's settings name: code that no import leads to either."""
    name = block.get("factory")
    return name.partition(":")[0] if isinstance(name, str) and _FACTORY.fullmatch(name) else None


def _part(kind: Kind, name: str) -> Any:
    # The name is looked up before the import, so that an ImportError inside a part is not taken for a missing one.
    loaded, constant = imported(module(kind, name)), _WORDS[kind][1]
    if not hasattr(loaded, constant):
        raise UserError(f"{loaded.__file__} - wanted a part under the name {constant} - there is none")
    part = getattr(loaded, constant)
    record = getattr(importlib.import_module("stillhouse.contracts.parts"), constant.capitalize())
    if not isinstance(part, record):
        raise UserError(f"{loaded.__file__} - wanted {constant} = {record.__name__}(...) - got {part!r:.100}")
    if hasattr(part, "settings") and not (isinstance(part.settings, type) and issubclass(part.settings, _settings())):
        wanted = f"wanted a class of stillhouse.contracts.settings.Settings in {constant} = {record.__name__}(settings, ...)"
        raise UserError(f"{loaded.__file__} - {wanted} - got {part.settings!r:.100}")
    return part


def _settings() -> type:
    found: type = importlib.import_module("stillhouse.contracts.settings").Settings
    return found


def _all(kind: Kind) -> Iterator[tuple[str, Found]]:
    for name, dotted in _library(kind):
        yield name, Found(dotted, "one of this library")
    yield from discovery.own(kind)
    yield from discovery.installed(kind)


@cache
def _library(kind: Kind) -> tuple[tuple[str, str], ...]:
    """Workloads lie in the folders of their families, such as workloads/pictures/classify, or stand alone."""
    package = f"stillhouse.{kind}"
    folder = Path(__file__).parent / kind
    if kind != "workloads":
        return tuple((name, f"{package}.{name}") for name in discovery.names(folder))
    families = [name for name in discovery.names(folder) if (folder / name / "_shared").is_dir()]
    alone = tuple((name, f"{package}.{name}") for name in discovery.names(folder) if name not in families)
    return (*alone, *((name, f"{package}.{family}.{name}") for family in families for name in discovery.names(folder / family)))
