"""From what a detector says of every place to a short list of objects: the best places, without repetitions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.workloads.pictures.detect.boxes import overlap
from stillhouse.workloads.pictures.detect.output import DetectorOutput

LEAST = 0.05
"""The least score that is looked at."""
CANDIDATES = 400
"""Pairs of place and class that are compared with each other, the highest scores of a picture."""
SAME = 0.5
"""Two boxes of one class that overlap more are one object."""
MOST = 100
"""Objects in a picture."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects of some pictures, the surest first; where a picture has fewer, the label is -1 and the score 0."""

    boxes: Tensor
    """(batch, objects, 4)"""
    score: Tensor
    """(batch, objects)"""
    label: Tensor
    """(batch, objects)"""


def detections(output: DetectorOutput) -> Detections:
    """At most MOST objects per picture, cut at the picture's edges."""
    score = output.interpretation.score(output)
    classes = score.shape[2]
    best, place = score.flatten(1).topk(min(CANDIDATES, score[0].numel()))
    busiest = max(1, int((best >= LEAST).sum(1).max()))
    best, place = best[:, :busiest], place[:, :busiest]
    label = place % classes
    height, width = output.extent
    boxes = output.interpretation.boxes(output, place // classes)
    boxes = boxes.minimum(boxes.new_tensor([width, height, width, height])).clamp(min=0)
    kept = kept_objects(boxes, label) & (best >= LEAST)
    kept, order = kept.sort(dim=1, descending=True, stable=True)
    kept, order = kept[:, :MOST], order[:, :MOST]
    found = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    return Detections(found, torch.where(kept, best.gather(1, order), 0), torch.where(kept, label.gather(1, order), -1))


def kept_objects(boxes: Tensor, label: Tensor) -> Tensor:
    """(batch, n, 4) and (batch, n), the surest first -> (batch, n): whether no surer object that is kept itself is the same.

    Each round is right about one more link of every chain of objects that remove each other, so that few rounds settle all of
    them (Cluster-NMS, arXiv 2005.03572).
    """
    same = (overlap(boxes, boxes) > SAME) & (label[:, :, None] == label[:, None])
    removed_by = same.tril(-1)
    kept = torch.ones_like(label, dtype=torch.bool)
    while True:
        fresh = ~(removed_by & kept[:, None]).any(2)
        if torch.equal(fresh, kept):
            return kept
        kept = fresh
