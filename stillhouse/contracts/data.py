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
class Jobs(Generic[Batch]):
    """The batches of a pass in two steps: what is random is drawn in order, and then each batch can be built by itself, anywhere."""

    plan: Callable[[torch.Generator], Iterator[Any]]
    """plan(rng) yields for each batch of a pass what it is built from, as small as can be: row numbers, and what was drawn for them."""
    build: Callable[[Any], Batch]
    """Draws nothing."""


@dataclass(frozen=True)
class Batches(Generic[Batch]):
    """One split, gone through as often as wanted: `draw(rng)` yields the `length` batches of one pass.

    The same state of `rng` gives the same pass; batches lie on the CPU, and may have a method `to(device)`.
    """

    draw: Callable[[torch.Generator], Iterator[Batch]]
    length: int
    jobs: Jobs[Batch] | None = None
    """The same in two steps, so that several processes can build batches; None where a batch cannot be told before it is built."""

    @classmethod
    def of(cls, jobs: Jobs[Batch], length: int) -> Batches[Batch]:
        """Those of some jobs."""
        return cls(lambda rng: map(jobs.build, jobs.plan(rng)), length, jobs)


@dataclass(frozen=True)
class Data(Generic[Batch]):
    """What a workload loads: `test` is None unless it was asked for; `sizes` are the facts that shape a model.

    Such a fact is the number of classes or of input channels, by its name.
    """

    train: Batches[Batch]
    valid: Batches[Batch]
    test: Batches[Batch] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
