"""Prepared texts as batches, as long as the longest text of each; the rest is padded, and a mask says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.contracts.shown import Shown
from stillhouse.training.files import read_parquet
from stillhouse.training.labels import HIDDEN, FewLabels, order
from stillhouse.training.rows import anywhere, in_order, shuffled
from stillhouse.workloads.text._shared.mapped import columns

if TYPE_CHECKING:
    from jaxtyping import Int


class DataSettings(FewLabels):
    """Batches of training differ in size by at most one text."""

    batch_size: int = Field(32, gt=0)
    evaluation_batch_size: int = Field(64, gt=0)
    most_bytes: int = Field(2**32, gt=0, exclude=True)
    """The most bytes of a split's tokens in memory, four for each. Of a larger split the tokens of a batch are read from a file; the
    batches are the same, so this is no part of what makes a result."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some texts and their classes."""

    token: Int[Tensor, "batch tokens"]
    mask: Int[Tensor, "batch tokens"]
    """1 for tokens of a text, 0 for those that fill it up."""
    label: Int[Tensor, " batch"]
    """HIDDEN where it is not for this batch to know."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        moved = (part.to(device, non_blocking=non_blocking) for part in (self.token, self.mask, self.label))
        return Batch(*moved)


@dataclass(frozen=True, eq=False)
class Texts:
    """A split: all tokens (tokens,), int32, and of each text its first one, their number and its class (texts,)."""

    token: Tensor
    first: Tensor
    count: Tensor
    label: Tensor
    pad: int

    def batch(self, rows: Tensor) -> Batch:
        """Some of the texts."""
        steps = torch.arange(int(self.count[rows].max()))
        mask = steps < self.count[rows][:, None]
        places = (self.first[rows][:, None] + steps).clamp(max=len(self.token) - 1)
        return Batch(torch.where(mask, self.token[places].long(), self.pad), mask.long(), self.label[rows])


def texts(prepared: Path, name: str, pad: int, most: int) -> Texts:
    """A split of prepared data, with `most` bytes of tokens in memory."""
    rows, tokens = read_parquet(prepared / f"{name}.parquet"), columns(prepared / f"{name}_tokens.parquet", ("token",), most)
    count, label = (torch.as_tensor(rows[column]).long() for column in ("tokens", "label"))
    return Texts(tokens[0], count.cumsum(0) - count, count, label, pad)


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Train is shuffled by the generator that it is drawn with; valid and test keep the order of the table."""
    facts = read_json(prepared / "facts.json")
    read = partial(texts, prepared, pad=facts["pad"], most=settings.most_bytes)

    def fixed(name: str) -> Batches[Batch]:
        split = read(name)
        return in_order(len(split.label), settings.evaluation_batch_size, split.batch)

    return Data(
        train=_training(settings, read("train")),
        valid=fixed("valid"),
        test=fixed("test") if test else None,
        sizes={name: facts[name] for name in ("vocabulary", "pad", "length")} | {"classes": len(facts["names"])},
    )


def shown(batch: Batch) -> Shown:
    """The classes that the batch knows."""
    return Shown(batch, batch.label, batch.label != HIDDEN)


def _training(settings: DataSettings, train: Texts) -> Batches[Batch]:
    size = settings.batch_size
    found, known = order(settings, train.label, size, partial(anywhere, len(train.label), size))
    return shuffled(found, replace(train, label=train.label.where(known, HIDDEN)).batch)
