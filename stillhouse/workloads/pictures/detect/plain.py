"""Boxes that a network says in pixels, at places that mean nothing by themselves: each box is taught to one place (arXiv 2005.12872)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stillhouse.workloads.pictures.detect.boxes import generalised_overlap
from stillhouse.workloads.pictures.detect.focal import focal
from stillhouse.workloads.pictures.detect.output import DetectorOutput, at, class_loss, upcast

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BACKGROUND = -1
CLASSES, SIDES, OVERLAP = 2.0, 5.0, 2.0
"""Weights of the class, of the sides as shares of the picture's, and of the overlap (arXiv 2010.04159), in matching and in the loss."""


@dataclass(frozen=True)
class Plain:
    """A place is a place in a list, and boxes are xmin, ymin, xmax, ymax in pixels."""

    def loss(self, output: DetectorOutput, boxes: Float[Tensor, "batch most 4"], label: Int[Tensor, "batch most"]) -> Float[Tensor, ""]:
        """Focal loss of all places, and at those that stand for a box the error of its sides and of its overlap, over their number."""
        said, logit, boxes = upcast(output.box), upcast(output.prediction), boxes.to(upcast(output.box))
        height, width = output.extent
        unit = said.new_tensor([width, height, width, height])
        matched = assign(logit.detach(), said.detach() / unit, boxes / unit, label)
        stands = matched >= 0
        classes = class_loss(logit, torch.where(stands, at(label, matched), BACKGROUND), torch.ones_like(stands))
        row, place = stands.nonzero(as_tuple=True)
        found, true = said[row, place] / unit, boxes[row, matched[row, place]] / unit
        error = SIDES * (found - true).abs().sum() + OVERLAP * (1 - generalised_overlap(found, true)).sum()
        return (CLASSES * classes + error) / stands.sum().clamp(min=1)

    def score(self, output: DetectorOutput) -> Float[Tensor, "batch places classes"]:
        """(batch, places, classes)"""
        return upcast(output.prediction).sigmoid()

    def boxes(self, output: DetectorOutput, place: Int[Tensor, "batch chosen"]) -> Float[Tensor, "batch chosen 4"]:
        """(batch, chosen, 4)"""
        return at(upcast(output.box), place)


def assign(
    logit: Float[Tensor, "batch places classes"],
    said: Float[Tensor, "batch places 4"],
    boxes: Float[Tensor, "batch most 4"],
    label: Int[Tensor, "batch most"],
) -> Int[Tensor, "batch places"]:
    """Which box each place stands for, or BACKGROUND: one place for each box of a label from 0, so that they fit best together."""
    from scipy.optimize import linear_sum_assignment  # a third of a second that only who trains such a network has to pay

    gain = focal(logit, torch.ones_like(logit)) - focal(logit, torch.zeros_like(logit))
    classes = gain.gather(2, label.clamp(min=0)[:, None].expand(-1, logit.shape[1], -1))
    sides = (said[:, :, None] - boxes[:, None]).abs().sum(-1)
    cost = CLASSES * classes + SIDES * sides - OVERLAP * generalised_overlap(said[:, :, None], boxes[:, None])
    matched = torch.full(logit.shape[:2], BACKGROUND, device=logit.device)
    for picture, real in enumerate(label >= 0):
        number = real.nonzero()[:, 0]
        places, chosen = linear_sum_assignment(cost[picture][:, number].nan_to_num().cpu().numpy())
        matched[picture, torch.from_numpy(places).to(matched)] = number[torch.from_numpy(chosen).to(number)]
    return matched
