"""RetinaNet: boxes beside anchors of several sizes and shapes in every cell (arXiv 1708.02002)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from stillhouse.contracts.families import Family
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint
from stillhouse.workloads.pictures.detect.boxes import from_offsets, generalised_overlap, offsets, overlap
from stillhouse.workloads.pictures.detect.cells import Cells, cells_of
from stillhouse.workloads.pictures.detect.detector import Detector, DetectorShape
from stillhouse.workloads.pictures.detect.head import PRIOR, HeadShape, Tower, end, rows
from stillhouse.workloads.pictures.detect.output import DetectorOutput, at, class_loss, upcast

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BACKGROUND, NEITHER = -1, -2
POSITIVE, NEGATIVE = 0.5, 0.4
"""An anchor that overlaps a box this much stands for it; one that overlaps none so much is background."""
BEND = 1 / 9
"""Where the smooth absolute error of offsets turns from a square into a line."""
Positive = Annotated[float, Field(gt=0)]


class AnchorShape(Settings):
    """Each cell has an anchor for each size and ratio; sizes are the square root of the area in strides."""

    sizes: tuple[Positive, ...] = Field((4.0, 4 * 2 ** (1 / 3), 4 * 2 ** (2 / 3)), min_length=1)
    ratios: tuple[Positive, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    """Height over width."""


class RetinaNetSettings(DetectorShape):
    """`box` is the error of a box: of its offsets, or of its overlap (GIoU)."""

    family: Literal["retinanet"] = "retinanet"
    anchors: AnchorShape = AnchorShape.model_validate({})
    box: Literal["smooth_l1", "giou"] = "smooth_l1"


@dataclass(frozen=True)
class Anchored:
    """Places are anchors, those of a cell behind one another, and boxes are offsets from them."""

    shape: AnchorShape
    box: Literal["smooth_l1", "giou"]

    def loss(self, output: DetectorOutput, boxes: Float[Tensor, "batch most 4"], label: Int[Tensor, "batch most"]) -> Float[Tensor, ""]:
        """Focal loss of all anchors plus the boxes' error at those that stand for one, over the number of the latter."""
        anchors = self.anchors(output.located)
        matched = match(anchors, boxes.to(anchors), label >= 0)
        stands = matched >= 0
        wanted = torch.where(stands, at(label, matched), BACKGROUND)
        classes = class_loss(upcast(output.prediction), wanted, matched != NEITHER)
        row, place = stands.nonzero(as_tuple=True)
        error = self._error(upcast(output.box)[row, place], anchors[place], boxes.to(anchors)[row, matched[row, place]])
        return (classes + error) / stands.sum().clamp(min=1)

    def _error(self, said: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        if self.box == "giou":
            return (1 - generalised_overlap(from_offsets(said, anchors), boxes)).sum()
        return smooth_l1_loss(said, offsets(boxes, anchors), beta=BEND, reduction="sum")

    def score(self, output: DetectorOutput) -> Float[Tensor, "batch places classes"]:
        """(batch, anchors, classes)"""
        return upcast(output.prediction).sigmoid()

    def boxes(self, output: DetectorOutput, place: Int[Tensor, "batch chosen"]) -> Float[Tensor, "batch chosen 4"]:
        """(batch, chosen, 4)"""
        return from_offsets(at(upcast(output.box), place), self.anchors(output.located)[place])

    def anchors(self, cells: Cells) -> Tensor:
        """(cells * anchors of a cell, 4)"""
        half = torch.tensor(
            [(size / ratio**0.5 / 2, size * ratio**0.5 / 2) for size in self.shape.sizes for ratio in self.shape.ratios],
            dtype=cells.centre.dtype,
            device=cells.centre.device,
        )
        reach, centre = cells.stride[:, None, None] * half, cells.centre[:, None]
        return torch.cat((centre - reach, centre + reach), -1).flatten(0, 1)


def match(anchors: Tensor, boxes: Tensor, real: Tensor) -> Tensor:
    """Which box each anchor stands for: (anchors, 4), (batch, most, 4) and (batch, most) -> (batch, anchors) of indices.

    It is the box that the anchor overlaps most, if that is at least POSITIVE; BACKGROUND, if that is less than NEGATIVE; else
    NEITHER. Each box moreover takes the anchors that overlap it most, ties included; an anchor that several boxes take goes to the
    one that it overlaps most (the release gives it to the one that it overlaps most of all boxes).
    """
    shared = overlap(anchors, boxes).masked_fill(~real[:, None], -1)
    best, index = shared.max(2)
    matched = torch.where(best >= POSITIVE, index, torch.where(best < NEGATIVE, BACKGROUND, NEITHER))
    most = shared.amax(1, keepdim=True)
    closest, taker = shared.masked_fill((shared < most) | (most <= 0), -1).max(2)
    return torch.where(closest > 0, taker, matched)


class RetinaHead(nn.Module):
    """A tower for classes and one for boxes, each with one more convolution."""

    def __init__(
        self, blueprint: Blueprint, inside: Axis, strides: dict[str, int], *, shape: HeadShape, classes: int, interpretation: Anchored
    ) -> None:
        super().__init__()
        self.strides, self.classes, self.interpretation = strides, classes, interpretation
        number = len(interpretation.shape.sizes) * len(interpretation.shape.ratios)
        self.class_tower = Tower(blueprint, "head.class", inside, shape, strides)
        self.box_tower = Tower(blueprint, "head.box", inside, shape, strides)
        self.class_end = end(blueprint, self.class_tower.axis, number * classes, PRIOR)
        self.box_end = end(blueprint, self.box_tower.axis, number * 4)

    def forward(self, levels: dict[str, Float[Tensor, "batch _ _ _"]]) -> DetectorOutput:
        """Levels by name, each (batch, channel, height, width)."""
        logits = [rows(self.class_end(self.class_tower(value, name)), self.classes) for name, value in levels.items()]
        boxes = [rows(self.box_end(self.box_tower(value, name)), 4) for name, value in levels.items()]
        cells = cells_of((value, self.strides[name]) for name, value in levels.items())
        return DetectorOutput(
            torch.cat(logits, 1), "values", box=torch.cat(boxes, 1), cells=cells, extent=(0, 0), interpretation=self.interpretation
        )


def retinanet(settings: RetinaNetSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Detector:
    """For pictures of any height and width."""
    interpretation = Anchored(settings.anchors, settings.box)

    def head(blueprint: Blueprint, inside: Axis, strides: dict[str, int]) -> nn.Module:
        return RetinaHead(blueprint, inside, strides, shape=settings.head, classes=sizes["classes"], interpretation=interpretation)

    return Detector(Blueprint(architecture), settings, sizes, head)


FAMILY = Family(RetinaNetSettings, retinanet)
