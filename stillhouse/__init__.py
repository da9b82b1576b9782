"""Distils big models into small ones that fit a budget, and proves what was gained.

The public names; each is imported when it is first used, so that `import stillhouse` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.contracts.data import Batches, Data
    from stillhouse.contracts.errors import UserError
    from stillhouse.contracts.output import Feature, Layout, Output
    from stillhouse.contracts.parts import Loss, Search, Trial, Workload
    from stillhouse.contracts.settings import Settings
    from stillhouse.contracts.shown import Shown
    from stillhouse.direct import Student, Teacher, distill, search
    from stillhouse.space.blueprint import Architecture, Blueprint, fixed, groups_of, masked
    from stillhouse.space.extraction import extract
    from stillhouse.space.trace import builder
    from stillhouse.training.fit import FitSettings

    __version__: str

__all__ = [
    "Architecture",
    "Batches",
    "Blueprint",
    "Data",
    "Feature",
    "FitSettings",
    "Layout",
    "Loss",
    "Output",
    "Search",
    "Settings",
    "Shown",
    "Student",
    "Teacher",
    "Trial",
    "UserError",
    "Workload",
    "__version__",
    "builder",
    "distill",
    "extract",
    "fixed",
    "groups_of",
    "masked",
    "search",
]
_HOME = {
    "Architecture": "stillhouse.space.blueprint",
    "Batches": "stillhouse.contracts.data",
    "Blueprint": "stillhouse.space.blueprint",
    "Data": "stillhouse.contracts.data",
    "Feature": "stillhouse.contracts.output",
    "FitSettings": "stillhouse.training.fit",
    "Layout": "stillhouse.contracts.output",
    "Loss": "stillhouse.contracts.parts",
    "Output": "stillhouse.contracts.output",
    "Search": "stillhouse.contracts.parts",
    "Settings": "stillhouse.contracts.settings",
    "Shown": "stillhouse.contracts.shown",
    "Student": "stillhouse.direct",
    "Teacher": "stillhouse.direct",
    "Trial": "stillhouse.contracts.parts",
    "UserError": "stillhouse.contracts.errors",
    "Workload": "stillhouse.contracts.parts",
    "builder": "stillhouse.space.trace",
    "distill": "stillhouse.direct",
    "extract": "stillhouse.space.extraction",
    "fixed": "stillhouse.space.blueprint",
    "groups_of": "stillhouse.space.blueprint",
    "masked": "stillhouse.space.blueprint",
    "search": "stillhouse.direct",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("stillhouse")
    if name not in _HOME:
        raise AttributeError(f"module 'stillhouse' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
