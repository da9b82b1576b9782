"""Shapes that are written in annotations, checked at every call in the tests: jaxtyping with beartype."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintNonpepException

CHECKED = (
    "stillhouse.contracts.output",
    "stillhouse.losses",
    "stillhouse.searches",
    "stillhouse.space",
    "stillhouse.workloads",
)
"""The modules whose annotations are checked, with all that lies below them."""
NAMES = ("Bool", "Float", "Int", "Num", "Shaped")
"""What the library imports of jaxtyping for the type checker alone, so that it need not be installed where the library runs."""


def install() -> None:
    """Has the modules checked that are imported from now on. Annotations are resolved where the library's own names are not found."""
    for name in NAMES:
        setattr(builtins, name, getattr(jaxtyping, name))
    jaxtyping.install_import_hook(list(CHECKED), "tests.shapes.checked")


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """beartype, for which an int is a float as it is for mypy. What it has no words for, as for some arrays of NumPy, is not checked."""
    try:
        return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)
    except BeartypeDecorHintNonpepException:
        return function
