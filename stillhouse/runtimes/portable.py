"""Layers that are exported rightly for the lengths of the example alone, in words that hold for others too."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


def portable(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode that computes the same, with such layers exchanged."""
    found = copy.deepcopy(network)
    for path, layer in list(found.named_modules()):
        other = _exchanged(layer)
        if path and other is not None:
            found.set_submodule(path, other)
    return found.eval()


def _exchanged(layer: nn.Module) -> nn.Module | None:
    size = layer.output_size if isinstance(layer, nn.AdaptiveAvgPool2d) else None
    return None if size is None or size in (1, (1, 1)) else GridMeans(size)


class GridMeans(nn.Module):
    """Means over a grid, as `torch.nn.AdaptiveAvgPool2d`, by a product with shares for each axis."""

    def __init__(self, size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size

    def forward(self, value: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch channel rows columns"]:
        """(batch, channel, height, width) -> (batch, channel, rows, columns)"""
        rows, columns = (_shares(value, axis, size) for axis, size in zip((2, 3), self.size, strict=True))
        return rows @ value @ columns.T


def _shares(value: Tensor, axis: int, size: int | None) -> Tensor:
    """(size, length): a part of the axis for each row, from floor(i length / size) to ceil((i + 1) length / size)."""
    length = value.shape[axis]
    place, part = torch.arange(length, device=value.device), torch.arange(size or length, device=value.device)[:, None]
    count = size or length
    within = ((place >= part * length // count) & (place < ((part + 1) * length + count - 1) // count)).to(value)
    return within / within.sum(1, keepdim=True)
