"""Prepared pictures and their boxes as batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.training.labels import FewLabels, order
from stillhouse.training.rows import in_order, shuffled
from stillhouse.workloads.pictures._shared.picture import normalised
from stillhouse.workloads.pictures._shared.stored import Stored, StoredSettings, stored
from stillhouse.workloads.pictures.detect.augment import flipped, zoomed


class DataSettings(FewLabels, StoredSettings):
    """Batches differ in size by at most one picture; augmentation is of training pictures alone.

    A label is all boxes of a picture, and a share of the labels one of the pictures.
    """

    batch_size: int = Field(16, gt=0)
    evaluation_batch_size: int = Field(32, gt=0)
    flip: bool = False
    """Left and right are exchanged in every second picture."""
    zoom: float = Field(1.0, ge=1)
    """The most that a picture is enlarged or made smaller, evenly by the logarithm, at a place drawn for it; what comes in has the
    mean colour, and a box whose middle goes out is dropped."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures and what is in them."""

    image: Tensor
    """(batch, channel, height, width), uint8."""
    boxes: Tensor
    """(batch, most, 4): xmin, ymin, xmax, ymax in pixels; 0 where a picture has fewer."""
    label: Tensor
    """(batch, most), int64; -1 where there is no box."""
    crowd: Tensor
    """(batch, most): whether a box is around many objects, or around one that need not be found."""
    known: Tensor
    """(batch,): whether it is to be known what is in a picture; where it is not, there are no boxes."""
    unit: Tensor
    """(2, channel): mean and standard deviation of the training pictures, in [0, 1]."""
    names: tuple[str, ...]
    """The names of the classes."""

    def pixels(self) -> Tensor:
        """(batch, channel, height, width), with mean 0 and deviation 1 over the training pictures."""
        return normalised(self.image, self.unit)

    def taught(self) -> Tensor:
        """The labels of the boxes that a detector is trained on, -1 elsewhere."""
        return torch.where(self.crowd, -1, self.label)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        parts = (self.image, self.boxes, self.label, self.crowd, self.known, self.unit)
        image, boxes, label, crowd, known, unit = (part.to(device, non_blocking=non_blocking) for part in parts)
        return Batch(image, boxes, label, crowd, known, unit, self.names)


@dataclass(frozen=True, eq=False)
class _Table:
    """A split: its pictures, and for all of them boxes (pictures, most, 4), labels and crowds (pictures, most) as in a batch, and which
    of them are known (pictures,).
    """

    pictures: Stored
    boxes: Tensor
    label: Tensor
    crowd: Tensor
    known: Tensor
    unit: Tensor
    names: tuple[str, ...]

    def batch(self, rows: Tensor) -> Batch:
        """As wide as its fullest picture."""
        known = self.known[rows]
        label = self.label[rows].where(known[:, None], -1)
        most = max(1, int((label >= 0).sum(1).max()))
        there = label[:, :most] >= 0
        boxes, crowd = self.boxes[rows, :most].where(there[..., None], 0), self.crowd[rows, :most] & there
        return Batch(self.pictures.take(rows)["image"], boxes, label[:, :most], crowd, known, self.unit, self.names)


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Train is shuffled by the generator that it is drawn with; valid and test keep the order of the table.

    The pictures of a split are held in memory, a byte for each channel of a pixel, if `most_bytes` allows it; the boxes always are.
    """
    facts = read_json(prepared / "facts.json")
    sizes = {name: facts[name] for name in ("channels", "height", "width", "classes")}
    shape, unit = (sizes["channels"], sizes["height"], sizes["width"]), torch.tensor([facts["mean"], facts["deviation"]])

    def table(split: str) -> _Table:
        pictures = stored(prepared / f"{split}.parquet", {"image": shape}, settings.most_bytes, shuffled=split == "train")
        found = read_parquet(prepared / f"{split}-boxes.parquet")
        parts = (torch.as_tensor(found[name]) for name in ("picture", "box", "label", "crowd"))
        known = torch.ones(pictures.count, dtype=torch.bool)
        return _Table(pictures, *padded(pictures.count, *parts), known, unit, tuple(facts["names"]))

    return Data(
        train=_training(settings, table("train")),
        valid=_fixed(settings, table("valid")),
        test=_fixed(settings, table("test")) if test else None,
        sizes=sizes,
    )


def _training(settings: DataSettings, table: _Table) -> Batches[Batch]:
    size, one = settings.batch_size, torch.zeros(table.pictures.count, dtype=torch.long)
    found, known = order(settings, one, size, partial(table.pictures.order, size))
    table = replace(table, known=known)
    return shuffled(found, lambda rows, drawn: augmented(table.batch(rows), drawn), partial(chance, settings))


def _fixed(settings: DataSettings, table: _Table) -> Batches[Batch]:
    return in_order(table.pictures.count, settings.evaluation_batch_size, table.batch)


def padded(pictures: int, picture: Tensor, box: Tensor, label: Tensor, crowd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows in the order of their pictures -> boxes (pictures, most, 4), labels and crowds (pictures, most)."""
    picture = picture.long()
    counts = torch.bincount(picture, minlength=pictures)
    place = torch.arange(len(picture)) - (counts.cumsum(0) - counts)[picture]
    shape = (pictures, max(1, int(counts.max())))
    boxes, labels, crowds = torch.zeros(*shape, 4), torch.full(shape, -1), torch.zeros(shape, dtype=torch.bool)
    boxes[picture, place], labels[picture, place], crowds[picture, place] = box.float(), label.long(), crowd.bool()
    return boxes, labels, crowds


class Drawn(NamedTuple):
    """What is done to some pictures and their boxes; None where it is not done."""

    flip: Tensor | None
    """(batch,)"""
    zoom: tuple[Tensor, Tensor] | None
    """(batch,) factors, and (batch, 2) places."""


def chance(settings: DataSettings, count: int, rng: torch.Generator) -> Drawn:
    """Drawn for each of `count` pictures by itself."""
    flip, zoom = torch.rand(count, generator=rng) < 0.5 if settings.flip else None, None
    if settings.zoom > 1:
        factor = settings.zoom ** (2 * torch.rand(count, generator=rng) - 1)
        zoom = factor, torch.rand(count, 2, generator=rng)
    return Drawn(flip, zoom)


def augmented(batch: Batch, drawn: Drawn) -> Batch:
    """Other pictures with their boxes."""
    image, boxes, label = batch.image, batch.boxes, batch.label
    if drawn.flip is not None:
        image, boxes = flipped(image, boxes, drawn.flip)
    if drawn.zoom is not None:
        image, boxes, inside = zoomed(image, boxes, *drawn.zoom, batch.unit[0])
        label = torch.where(inside, label, -1)
    there = (label >= 0).unsqueeze(-1)
    return Batch(image, torch.where(there, boxes, 0), label, batch.crowd & there.squeeze(-1), batch.known, batch.unit, batch.names)
