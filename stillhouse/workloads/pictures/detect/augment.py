"""Pictures moved and enlarged together with their boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def flipped(image: Tensor, boxes: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right exchanged where `chosen` (batch,) says so: (batch, channel, height, width) and (batch, most, 4)."""
    turned = torch.where(chosen[:, None, None, None], image.flip(3), image)
    other = torch.stack((image.shape[3] - boxes[..., 2], boxes[..., 1], image.shape[3] - boxes[..., 0], boxes[..., 3]), -1)
    return turned, torch.where(chosen[:, None, None], other, boxes)


def zoomed(image: Tensor, boxes: Tensor, factor: Tensor, place: Tensor, colour: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Enlarged by `factor` (batch,); also whether the middle of each box is still inside (batch, most).

    `place` (batch, 2), x and y in [0, 1], says which part is seen of a larger picture, or where a smaller one lies; what comes in
    has the `colour` (channel,) in [0, 1]. Boxes are cut at the edges.
    """
    size = boxes.new_tensor([image.shape[3], image.shape[2]])
    half = size / (2 * factor[:, None])
    centre = half + place * (size - 2 * half)
    new = boxes.unflatten(-1, (2, 2)).sub(centre[:, None, None]).mul(factor[:, None, None, None]).add(size / 2)
    middle = new.mean(-2)
    inside = ((middle > 0) & (middle < size)).all(-1)
    cut = torch.minimum(new, size).clamp(min=0).flatten(-2)
    return _drawn(image, factor, 2 * centre / size - 1, colour), cut, inside


def _drawn(image: Tensor, factor: Tensor, shift: Tensor, colour: Tensor) -> Tensor:
    scale = torch.eye(2) / factor[:, None, None]
    grid = affine_grid(torch.cat((scale, shift[:, :, None]), 2), list(image.shape), align_corners=False)
    ground = 255 * colour[:, None, None]
    return (grid_sample(image - ground, grid, align_corners=False) + ground).round().clamp(0, 255).to(image.dtype)
