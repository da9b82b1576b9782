"""Over how many devices a training is split, read off a block of params.yaml before any part is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def wanted(block: Any) -> int:
    """The largest `devices` of all that is called `fit` in a block, however deep; 1 where none says a whole number."""
    return max(_found(block), default=1)


def _found(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        fit = value.get("fit")
        number = fit.get("devices") if isinstance(fit, Mapping) else None
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            yield number
        for inner in value.values():
            yield from _found(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _found(inner)
