"""FCOS: every cell says how far its box reaches to the four sides, and how near it is to the middle (arXiv 1904.01355)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stillhouse.contracts.families import Family
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint
from stillhouse.workloads.pictures.detect.boxes import LARGEST, area, from_sides, generalised_overlap, sides
from stillhouse.workloads.pictures.detect.cells import Cells, cells_of
from stillhouse.workloads.pictures.detect.detector import Detector, DetectorShape
from stillhouse.workloads.pictures.detect.head import PRIOR, HeadShape, Tower, end, rows
from stillhouse.workloads.pictures.detect.output import DetectorOutput, at, class_loss, upcast

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BACKGROUND = -1


class PointShape(Settings):
    """Which cells stand for a box."""

    reach: float = Field(8.0, gt=0)
    """A box belongs to the level whose cells see its farthest side at more than half of so many strides and at most all of them;
    the finest level has all smaller ones, the coarsest all larger ones."""
    radius: float = Field(1.5, gt=0)
    """Only cells within so many strides of the box's middle, along either axis."""


class FcosSettings(DetectorShape):
    """Centre-ness is said by the tower for boxes, boxes are trained on GIoU, as in the revised version."""

    family: Literal["fcos"] = "fcos"
    points: PointShape = PointShape.model_validate({})


@dataclass(frozen=True)
class Pointed:
    """Places are cells, and boxes are the logarithms of their four reaches in strides."""

    shape: PointShape

    def loss(self, output: DetectorOutput, boxes: Float[Tensor, "batch most 4"], label: Int[Tensor, "batch most"]) -> Float[Tensor, ""]:
        """Focal loss of all cells and the centre-ness of those that stand for a box, over the number of the latter, plus the
        GIoU error weighted by centre-ness, over the sum of that (eq. 2).
        """
        assert output.centre is not None
        cells = output.located
        matched = assign(self.shape, cells, boxes.to(cells.centre), label >= 0)
        stands = matched >= 0
        count = stands.sum().clamp(min=1)
        wanted = torch.where(stands, at(label, matched), BACKGROUND)
        classes = class_loss(upcast(output.prediction), wanted, torch.ones_like(stands))
        row, place = stands.nonzero(as_tuple=True)
        true = boxes.to(cells.centre)[row, matched[row, place]]
        nearness = centreness(sides(true, cells.centre[place]))
        said = _decoded(upcast(output.box)[row, place], cells, place)
        error = (nearness * (1 - generalised_overlap(said, true))).sum() / nearness.sum().clamp(min=1e-6)
        middle = binary_cross_entropy_with_logits(upcast(output.centre)[row, place], nearness, reduction="sum")
        return (classes + middle) / count + error

    def score(self, output: DetectorOutput) -> Float[Tensor, "batch places classes"]:
        """(batch, cells, classes): the geometric mean of the class's probability and the centre-ness."""
        assert output.centre is not None
        return (upcast(output.prediction).sigmoid() * upcast(output.centre).sigmoid().unsqueeze(-1)).sqrt()

    def boxes(self, output: DetectorOutput, place: Int[Tensor, "batch chosen"]) -> Float[Tensor, "batch chosen 4"]:
        """(batch, chosen, 4)"""
        return _decoded(at(upcast(output.box), place), output.located, place)


def _decoded(value: Tensor, cells: Cells, place: Tensor) -> Tensor:
    return from_sides(value.clamp(max=LARGEST).exp() * cells.stride[place].unsqueeze(-1), cells.centre[place])


def centreness(reach: Tensor) -> Tensor:
    """sqrt of the smaller over the larger reach along x times that along y (eq. 3): (..., 4) -> (...), 1 in the middle."""
    x, y = reach[..., 0::2], reach[..., 1::2]
    return (x.amin(-1) / x.amax(-1) * (y.amin(-1) / y.amax(-1))).sqrt()


def assign(shape: PointShape, cells: Cells, boxes: Tensor, real: Tensor) -> Tensor:
    """Which box each cell stands for: (batch, most, 4) and (batch, most) -> (batch, cells) of indices, or BACKGROUND.

    It is the smallest of those that hold the cell's centre, have it near their middle, and belong to its level.
    """
    centre, stride = cells.centre[:, None], cells.stride[:, None]
    reach = sides(boxes[:, None], centre)
    farthest, middle = reach.amax(-1), (boxes[:, None, :, :2] + boxes[:, None, :, 2:]) / 2
    near = (middle - centre).abs().amax(-1) <= shape.radius * stride
    least, most = shape.reach / 2 * stride, shape.reach * stride
    least = torch.where(stride == stride.min(), 0, least)
    most = torch.where(stride == stride.max(), torch.inf, most)
    fits = real[:, None] & (reach.amin(-1) > 0) & near & (farthest > least) & (farthest <= most)
    smallest, index = area(boxes)[:, None].masked_fill(~fits, torch.inf).min(2)
    return torch.where(smallest.isfinite(), index, BACKGROUND)


class FcosHead(nn.Module):
    """A tower for classes, one for boxes and centre-ness, and a factor for the boxes of each level."""

    def __init__(
        self, blueprint: Blueprint, inside: Axis, strides: dict[str, int], *, shape: HeadShape, classes: int, interpretation: Pointed
    ) -> None:
        super().__init__()
        self.strides, self.classes, self.interpretation = strides, classes, interpretation
        self.class_tower = Tower(blueprint, "head.class", inside, shape, strides)
        self.box_tower = Tower(blueprint, "head.box", inside, shape, strides)
        self.class_end = end(blueprint, self.class_tower.axis, classes, PRIOR)
        self.box_end = end(blueprint, self.box_tower.axis, 4)
        self.centre_end = end(blueprint, self.box_tower.axis, 1)
        self.factor = nn.ParameterDict({name: nn.Parameter(torch.ones(())) for name in strides})

    def forward(self, levels: dict[str, Float[Tensor, "batch _ _ _"]]) -> DetectorOutput:
        """Levels by name, each (batch, channel, height, width)."""
        logits, boxes, centres = [], [], []
        for name, value in levels.items():
            logits.append(rows(self.class_end(self.class_tower(value, name)), self.classes))
            state = self.box_tower(value, name)
            boxes.append(self.factor[name] * rows(self.box_end(state), 4))
            centres.append(rows(self.centre_end(state), 1).squeeze(-1))
        cells = cells_of((value, self.strides[name]) for name, value in levels.items())
        box, centre = torch.cat(boxes, 1), torch.cat(centres, 1)
        return DetectorOutput(
            torch.cat(logits, 1), "values", box=box, centre=centre, cells=cells, extent=(0, 0), interpretation=self.interpretation
        )


def fcos(settings: FcosSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Detector:
    """For pictures of any height and width."""
    interpretation = Pointed(settings.points)

    def head(blueprint: Blueprint, inside: Axis, strides: dict[str, int]) -> nn.Module:
        return FcosHead(blueprint, inside, strides, shape=settings.head, classes=sizes["classes"], interpretation=interpretation)

    return Detector(Blueprint(architecture), settings, sizes, head)


FAMILY = Family(FcosSettings, fcos)
