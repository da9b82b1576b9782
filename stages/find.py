"""A part or a verb by its name: the folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stages.core.errors import UserError

if TYPE_CHECKING:
    from stages.core.kinds import Loss, Search, Workload

VERBS = ("prepare", "teach", "search", "distill", "evaluate", "compare")


def workload(name: str) -> Workload[Any]:
    """The `WORKLOAD` of stages/workloads/<name>; an unknown name is a UserError that lists what exists."""
    found: Workload[Any] = _part("workload", "workloads", name).WORKLOAD
    return found


def search(name: str) -> Search:
    """The `SEARCH` of stages/searches/<name>.py."""
    found: Search = _part("search method", "searches", name).SEARCH
    return found


def loss(name: str) -> Loss:
    """The `LOSS` of stages/losses/<name>.py."""
    found: Loss = _part("loss", "losses", name).LOSS
    return found


def verb(name: str) -> ModuleType:
    """The module of a verb: it holds a function of the same name and its `SETTINGS`."""
    if name not in VERBS:
        raise UserError(f"unknown verb {name!r}; there are {', '.join(VERBS)}")
    return importlib.import_module(f"stages.{name}")


def _part(kind: str, folder: str, name: str) -> ModuleType:
    """Names are looked up before the import, so that an ImportError inside a part is not taken for a missing one."""
    package = importlib.import_module(f"stages.{folder}")
    known = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
    if name not in known:
        raise UserError(f"unknown {kind} {name!r}; there are {', '.join(known) or 'none'}")
    return importlib.import_module(f"{package.__name__}.{name}")
