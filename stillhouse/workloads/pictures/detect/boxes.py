"""Boxes (..., 4) as xmin, ymin, xmax, ymax in pixels: how far they overlap, and how a network says where they are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST = math.log(1000)
"""The largest logarithm of a side over what it is measured in, so that no exponential grows beyond all bounds."""


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...), 0 for a box without extent."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each pair: (..., n, 4) and (..., m, 4) -> (..., n, m)"""
    ours, theirs = first.unsqueeze(-2).unbind(-1), second.unsqueeze(-3).unbind(-1)
    width, height = ((torch.minimum(ours[end], theirs[end]) - torch.maximum(ours[end - 2], theirs[end - 2])).clamp(min=0) for end in (2, 3))
    shared = width * height
    union = area(first).unsqueeze(-1) + area(second).unsqueeze(-2) - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def generalised_overlap(first: Tensor, second: Tensor) -> Tensor:
    """IoU - (hull - union) / hull of boxes one to one, in (-1, 1] (GIoU, arXiv 1902.09630): (..., 4) twice -> (...)"""
    upper, lower = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    shared = (lower - upper).clamp(min=0).prod(-1)
    union = area(first) + area(second) - shared
    hull = (torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])).clamp(min=0).prod(-1)
    least = torch.finfo(union.dtype).eps
    return shared / union.clamp(min=least) - (hull - union) / hull.clamp(min=least)


def offsets(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes beside their anchors: shift of the centre in anchor sides, logarithm of the sides' ratio (arXiv 1311.2524, C)."""
    (centre, side), (origin, unit) = _centred(boxes), _centred(anchors)
    return torch.cat(((centre - origin) / unit, (side / unit).log()), -1)


def from_offsets(value: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `offsets`."""
    origin, unit = _centred(anchors)
    centre, half = origin + unit * value[..., :2], unit * value[..., 2:].clamp(max=LARGEST).exp() / 2
    return torch.cat((centre - half, centre + half), -1)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def sides(boxes: Tensor, points: Tensor) -> Tensor:
    """How far a box reaches to the left, up, right and down of a point (..., 2); negative where the point is outside."""
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), -1)


def from_sides(value: Tensor, points: Tensor) -> Tensor:
    """The inverse of `sides`."""
    return torch.cat((points - value[..., :2], points + value[..., 2:]), -1)
