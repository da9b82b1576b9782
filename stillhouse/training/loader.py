"""Batches before they are wanted: built by other processes, and copied to a device while it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from stillhouse.contracts.data import Batches, Jobs
from stillhouse.contracts.errors import UserError
from stillhouse.training import machine

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Loader:
    """How batches are built: by so many processes (0: by this one, when each is asked for), and `pinned` for a CUDA device or not."""

    workers: int = 0
    pinned: bool = False

    def jobs(self, batches: Batches[Batch]) -> Jobs[Batch]:
        """What is to be built. Raises UserError where that cannot be told to other processes and there should be some."""
        if batches.jobs is None and self.workers:
            raise UserError(
                f"fit.workers - wanted 0 - got {self.workers}: this task draws a batch while it builds it, which one process does"
            )
        return batches.jobs or Jobs(batches.draw, _as_it_is)

    def built(self, planned: Iterator[Any], build: Callable[[Any], Batch]) -> Iterator[Batch]:
        """The batches in the order of their plans, of which PyTorch takes twice as many as there are processes before they are asked for.

        Raises UserError if a process ended before its time.
        """
        if not (self.workers or self.pinned):  # a DataLoader would do the same, but for what it costs to begin a pass
            yield from map(build, planned)
            return
        loader = DataLoader(
            _Built(build),
            sampler=planned,  # any iterable does: a batch is built of each element
            batch_size=None,
            num_workers=self.workers,
            pin_memory=self.pinned and machine.device().type == "cuda",
            multiprocessing_context="fork" if self.workers else None,  # what is built from is shared, and need not be pickled
            generator=torch.Generator(),  # else each pass would draw from the global one
        )
        try:
            for held in loader:
                yield held.batch
        except RuntimeError as error:
            if "DataLoader worker (pid" not in str(error):
                raise
            remedy = "lower fit.workers, or give them more (shared) memory"
            raise UserError(f"fit.workers - wanted {self.workers} processes that build batches - one of them ended: {remedy}") from error


def _as_it_is(batch: Batch) -> Batch:
    return batch


@dataclass(frozen=True)
class _Held:
    """A batch, which may be of any kind, as PyTorch wants to be told what it pins."""

    batch: Any

    def pin_memory(self) -> _Held:
        return _Held(machine.pinned(self.batch))


class _Built(Dataset[_Held]):
    def __init__(self, build: Callable[[Any], Any]) -> None:
        self.build = build

    def __getitem__(self, job: Any) -> _Held:
        return _Held(self.build(job))
