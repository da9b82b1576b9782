"""Prepared pictures as batches, and what is done to a training picture before a network sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.contracts.shown import Shown
from stillhouse.training.files import read_parquet
from stillhouse.training.labels import HIDDEN, FewLabels, order
from stillhouse.training.rows import in_order, shuffled
from stillhouse.workloads.pictures._shared.picture import normalised
from stillhouse.workloads.pictures._shared.stored import Stored, StoredSettings, stored


class DataSettings(FewLabels, StoredSettings):
    """Batches differ in size by at most one picture; augmentation is of training pictures alone."""

    batch_size: int = Field(128, gt=0)
    evaluation_batch_size: int = Field(256, gt=0)
    flip: bool = False
    """Left and right are exchanged in every second picture."""
    shift: int = Field(0, ge=0)
    """The most pixels that a picture is moved up, down, left or right; what comes in is black."""
    cutout: int = Field(0, ge=0)
    """The side of a square that is painted over with the mean of the training pictures, its centre anywhere (arXiv 1708.04552)."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures and their classes."""

    image: Tensor
    """(batch, channel, height, width), uint8."""
    label: Tensor
    """(batch,), int64, HIDDEN where it is not for this batch to know."""
    unit: Tensor
    """(2, channel): mean and standard deviation of the training pictures, in [0, 1]."""

    def pixels(self) -> Tensor:
        """(batch, channel, height, width), with mean 0 and deviation 1 over the training pictures."""
        return normalised(self.image, self.unit)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        moved = (part.to(device, non_blocking=non_blocking) for part in (self.image, self.label, self.unit))
        return Batch(*moved)


@dataclass(frozen=True)
class _Table:
    """A split: its pictures, (pictures,), and the unit of its batches."""

    pictures: Stored
    label: Tensor
    unit: Tensor

    def batch(self, rows: Tensor) -> Batch:
        return Batch(self.pictures.take(rows)["image"], self.label[rows], self.unit)


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Train is shuffled by the generator that it is drawn with; valid and test keep the order of the table.

    The pictures of a split are held in memory, a byte for each channel of a pixel, if `most_bytes` allows it.
    """
    facts = read_json(prepared / "facts.json")
    sizes = {name: facts[name] for name in ("channels", "height", "width", "classes")}
    shape, unit = (sizes["channels"], sizes["height"], sizes["width"]), torch.tensor([facts["mean"], facts["deviation"]])

    def table(split: str) -> _Table:
        path = prepared / f"{split}.parquet"
        label = torch.as_tensor(read_parquet(path, ["label"])["label"]).long()
        return _Table(stored(path, {"image": shape}, settings.most_bytes, shuffled=split == "train"), label, unit)

    return Data(
        train=_training(settings, table("train")),
        valid=_fixed(settings, table("valid")),
        test=_fixed(settings, table("test")) if test else None,
        sizes=sizes,
    )


def shown(batch: Batch) -> Shown:
    """The classes that the batch knows."""
    return Shown(batch, batch.label, batch.label != HIDDEN)


def _training(settings: DataSettings, table: _Table) -> Batches[Batch]:
    size = settings.batch_size
    found, known = order(settings, table.label, size, partial(table.pictures.order, size))
    table = replace(table, label=table.label.where(known, HIDDEN))
    return shuffled(
        found,
        lambda rows, drawn: augmented(settings, table.batch(rows), drawn),
        partial(chance, settings),
    )


def _fixed(settings: DataSettings, table: _Table) -> Batches[Batch]:
    return in_order(len(table.label), settings.evaluation_batch_size, table.batch)


class Drawn(NamedTuple):
    """What is done to some pictures; None where it is not done."""

    flip: Tensor | None
    """(batch,)"""
    shift: Tensor | None
    """(2, batch) pixels, down and right."""
    centre: Tensor | None
    """(2, batch): of a cutout, in shares of height and width."""


def chance(settings: DataSettings, count: int, rng: torch.Generator) -> Drawn:
    """Drawn for each of `count` pictures by itself."""
    most = settings.shift
    flip = torch.rand(count, generator=rng) < 0.5 if settings.flip else None
    shift = torch.randint(-most, most + 1, (2, count), generator=rng) if most else None
    return Drawn(flip, shift, torch.rand(2, count, generator=rng) if settings.cutout else None)


def augmented(settings: DataSettings, batch: Batch, drawn: Drawn) -> Batch:
    """Other pictures of the same classes."""
    image = batch.image
    if drawn.flip is not None:
        image = flipped(image, drawn.flip)
    if drawn.shift is not None:
        image = shifted(image, drawn.shift)
    if drawn.centre is not None:
        centre = (drawn.centre * torch.tensor(image.shape[2:])[:, None]).long()
        image = cut_out(image, centre, settings.cutout, (255 * batch.unit[0]).round().to(image.dtype))
    return Batch(image, batch.label, batch.unit)


def flipped(image: Tensor, chosen: Tensor) -> Tensor:
    """Left and right exchanged where `chosen` (batch,) says so."""
    return torch.where(chosen[:, None, None, None], image.flip(3), image)


def shifted(image: Tensor, by: Tensor) -> Tensor:
    """Moved down by by[0] and right by by[1], (2, batch) pixels; black comes in."""
    most = int(by.abs().max())
    padded = pad(image, (most,) * 4)
    windows = padded.unfold(2, image.shape[2], 1).unfold(3, image.shape[3], 1)
    return windows[torch.arange(len(image)), :, most - by[0], most - by[1]]


def cut_out(image: Tensor, centre: Tensor, side: int, colour: Tensor) -> Tensor:
    """A square of `side` pixels around `centre` (2, batch: row and column) painted with `colour` (channel,)."""
    first = centre - side // 2
    inside = []
    for size, start in zip(image.shape[2:], first, strict=True):
        place = torch.arange(size)
        inside.append((place >= start[:, None]) & (place < start[:, None] + side))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(square, colour[:, None, None], image)
