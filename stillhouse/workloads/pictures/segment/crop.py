"""Parts of resized pictures and their masks, each picture with a factor and a place of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

VOID = 255
"""What a mask says of a pixel that has no class."""


@dataclass(frozen=True)
class _Side:
    """Where the pixels of a cut lie along one side of each picture, (batch, size)."""

    middle: Tensor
    """From -1 to 1 between the picture's edges."""
    nearest: Tensor
    """The picture's pixel."""
    inside: Tensor
    """Whether it is not beyond an edge."""


def cropped(image: Tensor, mask: Tensor, size: tuple[int, int], factor: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, channel, height, width) and (batch, height, width), uint8, each resized by its `factor` and cut to `size`.

    `place` (2, batch), in [0, 1), says where: 0 is the top or left end of what is possible. Pictures are resized bilinearly
    (corners not aligned, no smoothing), masks to the nearest pixel. Beyond the edges of a picture that is smaller than `size`
    its outermost pixels are repeated, and the mask is `VOID`.
    """
    down, right = (_side(mask.shape[1 + axis], size[axis], factor, place[axis]) for axis in (0, 1))
    grid = torch.stack([right.middle[:, None, :].expand(-1, size[0], -1), down.middle[:, :, None].expand(-1, -1, size[1])], -1)
    resized = grid_sample(image.double(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    rows = torch.arange(len(mask))[:, None, None]
    chosen = mask[rows, down.nearest[:, :, None], right.nearest[:, None, :]]
    inside = down.inside[:, :, None] & right.inside[:, None, :]
    return resized.round().to(image.dtype), torch.where(inside, chosen, torch.full_like(chosen, VOID))


def _side(length: int, size: int, factor: Tensor, place: Tensor) -> _Side:
    whole = (length * factor).round().long().clamp(min=1)
    room = whole - size
    first = torch.where(room >= 0, (place * (room + 1)).long(), -(place * (1 - room)).long())
    pixel = first[:, None] + torch.arange(size)
    whole = whole[:, None]
    within = pixel.clamp(min=0).minimum(whole - 1)
    # In whole numbers, so that a pixel that lies exactly between two others is rounded alike everywhere.
    twice = (2 * within + 1) * length
    return _Side(twice.double() / whole / length - 1, twice // (2 * whole), pixel == within)
