"""The tensors and whole numbers of a batch by their paths, and the same batch with others in their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

Leaf = Tensor | int


def of(batch: Any, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """(path, leaf) of all tensors and whole numbers in tuples, lists, mappings and dataclasses; one tensor by itself is `input`."""
    if isinstance(batch, Tensor) or (isinstance(batch, int) and not isinstance(batch, bool)):
        yield path or "input", batch
    for name, value in _children(batch):
        yield from of(value, f"{path}_{name}" if path else name)


def put(batch: Any, leaves: Mapping[str, Leaf], path: str = "") -> Any:
    """The batch with the leaves of some paths exchanged; all else is the same object, since a network may keep by it what it derives."""
    if (path or "input") in leaves:
        return leaves[path or "input"]
    changed = {name: put(value, leaves, f"{path}_{name}" if path else name) for name, value in _children(batch)}
    if all(changed[name] is value for name, value in _children(batch)):
        return batch
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return dataclasses.replace(batch, **changed)
    if isinstance(batch, Mapping):
        return changed
    if isinstance(batch, tuple) and hasattr(batch, "_make"):
        return batch._make(changed.values())
    return type(batch)(changed.values())


def _children(batch: Any) -> list[tuple[str, Any]]:
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return [(field.name, getattr(batch, field.name)) for field in dataclasses.fields(batch) if field.init]
    if isinstance(batch, Mapping):
        return list(batch.items())
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return list(zip(batch._fields, batch, strict=True))
    if isinstance(batch, tuple | list):
        return [(f"input{index}", value) for index, value in enumerate(batch)]
    return []
