"""Pictures as a table: to each row, a coded picture, a mask of its own size and what share of it each class has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, ImageOps
from torch import Tensor

from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.workloads.pictures._shared.picture import pixels
from stillhouse.workloads.pictures._shared.picture_table import coded, example, keep, row_picture
from stillhouse.workloads.pictures.segment.crop import VOID
from stillhouse.workloads.pictures.segment.sample import Batch

ROWS = 16
"""Pictures decoded and asked at once."""


@dataclass(frozen=True, eq=False)
class Asked(Batch):
    """Some pictures in the size of the training pictures, with masks that say nothing."""

    given: Tensor
    """(batch, 2): height and width that they came with."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Asked:
        """On a device, but for the sizes."""
        return Asked(**vars(super().to(device, non_blocking)), given=self.given)


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Coded pictures, of which the middle is cut out at the proportions of the training pictures and brought to their size."""
    facts = read_json(context / "facts.json")
    names: list[str] = facts["names"]

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        assert isinstance(batch, Asked)
        probability, chosen = output.prediction.softmax(-1).max(-1)
        numbers = chosen.to(torch.uint8).numpy(force=True)
        masks = [restored(mask, (height, width)) for mask, (height, width) in zip(numbers, batch.given.tolist(), strict=True)]
        shares = [[{"class": name, "share": share} for name, share in zip(names, _shares(mask, len(names)), strict=True)] for mask in masks]
        return {"mask": [coded(mask) for mask in masks], "probability": probability.double().mean((1, 2)), "shares": shares}

    return Question(_batches(facts, table.column("image")), columns)


def restored(mask: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A mask (height, width), uint8, to the nearest pixel of a picture of that size, whose middle it is of; `VOID` beside that."""
    scale = max(have / given for have, given in zip(mask.shape, size, strict=True))
    down, right = ((have - scale * given) / 2 for have, given in zip(mask.shape, size, strict=True))
    place = (scale, 0, right, 0, scale, down)
    return Image.fromarray(mask).transform(size[::-1], Image.Transform.AFFINE, place, Image.Resampling.NEAREST, fillcolor=VOID)


def _shares(mask: Image.Image, classes: int) -> list[float]:
    """The share of each class among the pixels that have one."""
    counts = mask.histogram()[:classes]
    return [count / max(1, sum(counts)) for count in counts]


def _batches(facts: Mapping[str, Any], images: pa.ChunkedArray) -> Iterator[Asked]:
    size, unit = (facts["height"], facts["width"]), torch.tensor([facts["mean"], facts["deviation"]])
    for first in range(0, len(images), ROWS):
        places = enumerate(images.slice(first, ROWS).to_pylist(), start=first)
        fitted, sides = zip(*(_fitted(row_picture(row, content, facts), size) for row, content in places), strict=True)
        nothing = torch.full((len(fitted), *size), VOID, dtype=torch.uint8)
        given = torch.tensor(sides)
        yield Asked(torch.from_numpy(np.stack(fitted)), nothing, unit, given)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Its pixels in that size, and the height and width that it came with."""
    return pixels(ImageOps.fit(picture, size[::-1], Image.Resampling.BILINEAR)), (picture.height, picture.width)


TABLE = Table("segment", keep, example, ask)
