"""Batches of samples; loads that were never watched may ride along, for a teacher to answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import read_parquet
from stillhouse.workloads.queue.batch import Batch


class DataSettings(Settings):
    """How samples are batched in training; validation and test have one batch each."""

    batch_size: int = Field(10, gt=0)
    unlabelled: int = Field(0, ge=0)
    """How many loads without any observation each training batch carries."""
    unlabelled_loads: tuple[float, float] | None = None
    """Between which they are drawn, in the units of the data; None: from the mean training load to three times it."""

    @model_validator(mode="after")
    def _ordered(self) -> DataSettings:
        low, high = self.unlabelled_loads or (1.0, 1.0)
        if not 0 < low <= high:
            raise ValueError(f"unlabelled_loads should be two loads above 0, the lesser first: got {[low, high]}")
        return self


@dataclass(frozen=True, eq=False)
class Samples:
    """One split: `load` in units of the mean training load."""

    load: Tensor
    counts: Tensor
    watched: Tensor
    full: Tensor

    def batch(self, rows: Tensor) -> Batch:
        """Some samples."""
        watched = self.watched.expand(len(rows), -1)
        return Batch(self.load[rows], self.counts[rows], watched, self.full[rows])


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Training and validation, and the test if it is asked for."""
    facts = read_json(prepared / "facts.json")
    states, mean = facts["states"], facts["mean_load"]
    watched = torch.zeros(states, dtype=torch.bool)
    watched[facts["watched"]] = True
    train, valid = (_read(prepared / f"{split}.parquet", mean, watched) for split in ("train", "valid"))
    low, high = (bound / mean for bound in settings.unlabelled_loads or (mean, 3 * mean))
    training = Training(settings, train, (low, high))
    heavy = _whole(_read(prepared / "test.parquet", mean, torch.ones_like(watched))) if test else None
    return Data(Batches(training.draw, training.length), _whole(valid), heavy, {"states": states})


@dataclass(frozen=True)
class Training:
    """Samples in random order; `between` are the bounds of unlabelled loads, in units of the mean training load."""

    settings: DataSettings
    samples: Samples
    between: tuple[float, float]

    @property
    def length(self) -> int:
        """Batches in a pass."""
        return -(-len(self.samples.load) // self.settings.batch_size)

    def draw(self, rng: torch.Generator) -> Iterator[Batch]:
        """One pass over all samples; each batch ends with its unlabelled loads."""
        for rows in torch.randperm(len(self.samples.load), generator=rng).split(self.settings.batch_size):
            yield _joined(self.samples.batch(rows), self._unlabelled(rng))

    def _unlabelled(self, rng: torch.Generator) -> Batch:
        number, states = self.settings.unlabelled, self.samples.counts.shape[1]
        low, high = self.between
        load = low + (high - low) * torch.rand(number, generator=rng, dtype=torch.float64)
        counts = torch.zeros(number, states, dtype=torch.float64)
        return Batch(load, counts, torch.zeros(number, states, dtype=torch.bool), torch.full((number,), torch.nan, dtype=torch.float64))


def _joined(first: Batch, second: Batch) -> Batch:
    pairs = ((first.load, second.load), (first.counts, second.counts), (first.watched, second.watched), (first.full, second.full))
    return Batch(*(torch.cat(pair) for pair in pairs))


def _whole(samples: Samples) -> Batches[Batch]:
    batch = samples.batch(torch.arange(len(samples.load)))
    return Batches(lambda rng: iter((batch,)), 1)


def _read(path: Path, mean: float, watched: Tensor) -> Samples:
    columns = read_parquet(path)
    load, counts = (torch.as_tensor(columns[name]).double() for name in ("load", "counts"))
    full = torch.as_tensor(columns["full"]) if "full" in columns else torch.full_like(load, torch.nan)
    return Samples(load / mean, counts, watched, full.double())
