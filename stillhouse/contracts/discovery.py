"""Where parts are found: in a folder of modules, in the project's folder `parts/`, in installed packages. Nothing is imported."""

from __future__ import annotations

import importlib.metadata
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from itertools import chain
from pathlib import Path
from typing import Any

from stillhouse.contracts.errors import UserError

PARTS = "parts"
"""The folder of a project, and the package as which it is imported."""
FAMILIES = "families"
"""The folder of a workload that holds its model families."""


@dataclass(frozen=True)
class Found:
    """A part that may be imported: its module, in words where it comes from, and of an installed one its package as NAME==VERSION."""

    module: str
    origin: str
    requirement: str = ""


def names(folder: Path) -> list[str]:
    """The modules of a folder but for those whose name begins with an underscore, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules([str(folder)]) if not info.name.startswith("_"))


def unique(kind: str, parts: Iterable[tuple[str, Found]]) -> dict[str, Found]:
    """Parts by name, sorted.

    Raises UserError if two have one name: which of them made a result must never depend on an order.
    """
    found: dict[str, Found] = {}
    for name, part in parts:
        if name in found:
            raise UserError(f"two {kind} are named {name!r}: {found[name].origin} and {part.origin}; rename one of them")
        found[name] = part
    return dict(sorted(found.items()))


def own(*steps: str) -> Iterator[tuple[str, Found]]:
    """Those of the project, whose folder is where Python looks first; of a model that was packed with its parts, likewise."""
    for name in sorted({name for place in _own_folders() for name in names(place.joinpath(*steps))}):
        yield name, Found(".".join((PARTS, *steps, name)), "/".join((PARTS, *steps, name)))


def installed(kind: str) -> tuple[tuple[str, Found], ...]:
    """The entry points of the group `stillhouse.KIND`."""
    return _installed(kind, tuple(sys.path))


@cache
def _installed(kind: str, path: tuple[str, ...]) -> tuple[tuple[str, Found], ...]:
    return tuple(_of_package(entry) for entry in _entry_points(path).select(group=f"stillhouse.{kind}"))


@cache
def _entry_points(path: tuple[str, ...]) -> Any:
    """To look for them takes hundredths of a second, and every part that is named asks; `path` is where they were looked for."""
    return importlib.metadata.entry_points()


def _of_package(entry: importlib.metadata.EntryPoint) -> tuple[str, Found]:
    package = entry.dist.name if entry.dist else "a package"
    return entry.name, Found(entry.module, f"{entry.value} of {package}", f"{package}=={entry.dist.version}" if entry.dist else "")


def families(workload: str, module: str, file: Path) -> dict[str, Found]:
    """The model families of a workload: in the folder `families` beside its `__init__.py`, in the project's `parts/families/WORKLOAD`,
    and the entry points WORKLOAD.NAME of the group `stillhouse.families`.

    `module` and `file` are the workload's own. Raises UserError if two families have one name.
    """
    folder = file.parent / FAMILIES
    beside = names(folder) if file.name == "__init__.py" else []
    of_packages = ((name.partition("."), part) for name, part in installed(FAMILIES))
    return unique(
        f"families of {workload}",
        chain(
            ((name, Found(f"{module}.{FAMILIES}.{name}", f"one of {module}")) for name in beside),
            own(FAMILIES, workload),
            ((family, part) for (owner, _, family), part in of_packages if owner == workload),
        ),
    )


def _own_folders() -> list[Path]:
    # Not imported: a package's own code must not run before its fingerprint is taken.
    spec = PathFinder.find_spec(PARTS, sys.path)
    return [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
