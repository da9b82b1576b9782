"""Pictures as a table: to each row, a coded picture, the boxes around its objects in its own pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor

from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.workloads.pictures._shared.picture import pixels
from stillhouse.workloads.pictures._shared.picture_table import example, keep, row_picture
from stillhouse.workloads.pictures.detect.boxes import area
from stillhouse.workloads.pictures.detect.detections import detections
from stillhouse.workloads.pictures.detect.item import fitted
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from stillhouse.workloads.pictures.detect.sample import Batch

ROWS = 32
"""Pictures decoded and asked at once."""
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, eq=False)
class Asked(Batch):
    """Some pictures in the size of the training pictures, without boxes."""

    given: Tensor
    """(batch, 4): width, height, width and height that they came with."""
    scale: Tensor
    """(batch, 4): their pixels beside those that they came with, to the right, down, to the right and down."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Asked:
        """On a device, but for the sizes."""
        return Asked(**vars(super().to(device, non_blocking)), given=self.given, scale=self.scale)


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Coded pictures, made to fit in the size of the training pictures at their own proportions."""
    facts = read_json(context / "facts.json")
    names = pa.array(facts["names"], pa.string())

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        assert isinstance(output, DetectorOutput)
        assert isinstance(batch, Asked)
        found = detections(output)
        label = found.label.cpu()
        boxes = (found.boxes.cpu().double() / batch.scale[:, None]).minimum(batch.given[:, None])
        there = (label >= 0) & (area(boxes) > 0)
        parts = dict(zip(_SIDES, boxes[there].numpy().T, strict=True))
        number, score = label[there].numpy(), found.score.cpu().double()[there].numpy()
        return {"boxes": _lists(there.sum(1), {**parts, "label": number, "class": names.take(pa.array(number)), "score": score})}

    return Question(_batches(facts, table.column("image")), columns)


def _lists(counts: Tensor, columns: Mapping[str, Any]) -> pa.ListArray:
    """A list of structs of those columns per row."""
    ends = torch.cat((counts.new_zeros(1), counts.cumsum(0))).int()
    structs = pa.StructArray.from_arrays([pa.array(column) for column in columns.values()], names=list(columns))
    return pa.ListArray.from_arrays(pa.array(ends.numpy()), structs)


def _batches(facts: Mapping[str, Any], images: pa.ChunkedArray) -> Iterator[Asked]:
    unit, names = torch.tensor([facts["mean"], facts["deviation"]]), tuple(facts["names"])
    for first in range(0, len(images), ROWS):
        places = enumerate(images.slice(first, ROWS).to_pylist(), start=first)
        framed, scales, sizes = zip(*(_framed(row_picture(row, content, facts), facts) for row, content in places), strict=True)
        image = torch.from_numpy(np.stack(framed))
        given = torch.tensor(sizes, dtype=torch.float64)
        rows = len(image)
        none = torch.zeros(rows, dtype=torch.bool)
        nothing = (torch.zeros(rows, 1, 4), torch.full((rows, 1), -1), none[:, None], none)
        yield Asked(image, *nothing, unit, names, given, torch.from_numpy(np.tile(np.stack(scales), 2)))


def _framed(picture: Image.Image, facts: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Its pixels in the frame, the shares by which its sides have changed, and its sides, twice."""
    framed, scale = fitted(picture, (facts["height"], facts["width"]))
    return pixels(framed), scale, picture.size * 2


TABLE = Table("detect", keep, example, ask)
