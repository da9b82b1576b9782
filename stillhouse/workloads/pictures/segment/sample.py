"""Prepared pictures and masks as batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field, field_validator
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.labels import FewLabels, order
from stillhouse.training.rows import in_order, shuffled
from stillhouse.workloads.pictures._shared.picture import normalised
from stillhouse.workloads.pictures._shared.stored import Stored, StoredSettings, stored
from stillhouse.workloads.pictures.segment.crop import VOID, cropped


class DataSettings(FewLabels, StoredSettings):
    """Batches differ in size by at most one picture; augmentation is of training pictures alone, whole ones are answered.

    A label is a picture's mask, and a share of the labels one of the pictures: what is hidden is a mask in which no pixel has a class.
    """

    batch_size: int = Field(8, ge=3)
    """Three at least, so that none is left with one picture: the mean of a single picture has no deviation for a norm."""
    evaluation_batch_size: int = Field(16, gt=0)
    crop: tuple[int, int] | None = None
    """Height and width that are cut out of a training picture; None takes those of the picture."""
    scale: tuple[float, float] = (1.0, 1.0)
    """A training picture is resized by a factor between the two, evenly drawn; beyond its edges a crop repeats them, without a class."""
    flip: bool = False
    """Left and right are exchanged in every second picture."""

    @field_validator("crop")
    @classmethod
    def _positive(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError(f"crop should be a height and a width from 1: got {list(value)}")
        return value

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1] <= 100:
            raise ValueError(f"scale should be two factors above 0, the smaller first, 100 at most: got {list(value)}")
        return value


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures and their masks."""

    image: Tensor
    """(batch, channel, height, width), uint8."""
    mask: Tensor
    """(batch, height, width), uint8: the class of a pixel, or `VOID`."""
    unit: Tensor
    """(2, channel): mean and standard deviation of the training pictures, in [0, 1]."""

    def pixels(self) -> Tensor:
        """(batch, channel, height, width), with mean 0 and deviation 1 over the training pictures."""
        return normalised(self.image, self.unit)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        moved = (part.to(device, non_blocking=non_blocking) for part in (self.image, self.mask, self.unit))
        return Batch(*moved)


@dataclass(frozen=True)
class _Table:
    """A split: its pictures and masks, and the unit of its batches."""

    pictures: Stored
    unit: Tensor
    known: Tensor
    """(rows,), whether the mask of a picture is to be seen."""

    def batch(self, rows: Tensor) -> Batch:
        found = self.pictures.take(rows)
        return Batch(found["image"], found["mask"].where(self.known[rows][:, None, None], VOID), self.unit)


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Train is shuffled by the generator that it is drawn with; valid and test keep the order of the table.

    The pictures of a split are held in memory, a byte for each channel of a pixel and one for its class, if `most_bytes` allows it.
    """
    facts = read_json(prepared / "facts.json")
    sizes = {name: facts[name] for name in ("channels", "height", "width", "classes")}
    unit = torch.tensor([facts["mean"], facts["deviation"]])

    def table(split: str) -> _Table:
        shape = (sizes["height"], sizes["width"])
        shapes = {"image": (sizes["channels"], *shape), "mask": shape}
        pictures = stored(prepared / f"{split}.parquet", shapes, settings.most_bytes, shuffled=split == "train")
        return _Table(pictures, unit, torch.ones(pictures.count, dtype=torch.bool))

    return Data(
        train=_training(settings, table("train")),
        valid=_fixed(settings, table("valid")),
        test=_fixed(settings, table("test")) if test else None,
        sizes=sizes,
    )


def _training(settings: DataSettings, table: _Table) -> Batches[Batch]:
    size, one = settings.batch_size, torch.zeros(table.pictures.count, dtype=torch.long)
    found, known = order(settings, one, size, partial(table.pictures.order, size))
    if known.sum() < 2 and not settings.unlabelled:
        remedy = "raise data.train_limit, or add pictures"
        raise UserError(f"data - wanted two training pictures at least, between which a norm can tell a deviation - got one: {remedy}")
    table = replace(table, known=known)
    return shuffled(found, lambda rows, drawn: augmented(settings, table.batch(rows), drawn), partial(chance, settings))


def _fixed(settings: DataSettings, table: _Table) -> Batches[Batch]:
    return in_order(table.pictures.count, settings.evaluation_batch_size, table.batch)


class Drawn(NamedTuple):
    """What is done to some pictures and their masks; None where it is not done."""

    crop: tuple[Tensor, Tensor] | None
    """(batch,) factors, and (2, batch) places."""
    flip: Tensor | None
    """(batch,)"""


def chance(settings: DataSettings, count: int, rng: torch.Generator) -> Drawn:
    """Drawn for each of `count` pictures by itself."""
    crop, (low, high) = None, settings.scale
    if settings.crop is not None or settings.scale != (1.0, 1.0):
        factor = low + (high - low) * torch.rand(count, generator=rng)
        crop = factor, torch.rand(2, count, generator=rng)
    return Drawn(crop, torch.rand(count, generator=rng) < 0.5 if settings.flip else None)


def augmented(settings: DataSettings, batch: Batch, drawn: Drawn) -> Batch:
    """Other views of the same pictures and their masks."""
    image, mask = batch.image, batch.mask
    if drawn.crop is not None:
        image, mask = cropped(image, mask, settings.crop or (mask.shape[1], mask.shape[2]), *drawn.crop)
    if drawn.flip is not None:
        image = torch.where(drawn.flip[:, None, None, None], image.flip(3), image)
        mask = torch.where(drawn.flip[:, None, None], mask.flip(2), mask)
    return Batch(image, mask, batch.unit)
