"""How many devices a training is split over, and how many processes a stage takes, read off a block of params.yaml without its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def wanted(block: Any) -> int:
    """The largest `devices` of all that is called `fit` in a block, however deep; 1 where none says a whole number."""
    fits = (inner.get("fit") for inner in _mappings(block))
    return _largest(fit.get("devices") for fit in fits if isinstance(fit, Mapping))


def processes(block: Any) -> int:
    """That, or the `workers` of a search in the block, which share its candidates and of which each has a device."""
    return max(wanted(block), workers(block))


def workers(block: Any) -> int:
    """The largest `workers` of a search in a block."""
    return _largest(inner.get("workers") for inner in _mappings(block) if "method" in inner)


def _largest(values: Iterable[Any]) -> int:
    return max((value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0), default=1)


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """All that has keys, however deep."""
    if isinstance(value, Mapping):
        yield value
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _mappings(inner)
