"""What a workload loads, and what is measured and told on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import torch

Batch = TypeVar("Batch")
Metrics = dict[str, float]
Log = Callable[[Mapping[str, Any]], None]
"""Takes one record of progress, for example {"epoch": 3, "epochs": 20, "loss": 0.5}; a list's `append` serves in a test."""


@dataclass(frozen=True)
class Batches(Generic[Batch]):
    """One split: `draw(rng)` yields the batches of one pass (the same rng state, the same pass), `length` of them."""

    draw: Callable[[torch.Generator], Iterator[Batch]]
    length: int


@dataclass(frozen=True)
class Data(Generic[Batch]):
    """What a workload loads: `test` is None unless it was asked for; `sizes` are the facts that shape a model."""

    train: Batches[Batch]
    valid: Batches[Batch]
    test: Batches[Batch] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
