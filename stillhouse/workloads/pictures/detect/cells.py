"""The cells of all levels of a pyramid in one row: level by level, from left to right and from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.contracts.output import branching


@branching
@dataclass(frozen=True, eq=False)
class Cells:
    """Where each cell of a picture's maps lies, and how coarse its map is."""

    centre: Tensor
    """(cells, 2): x and y in pixels."""
    stride: Tensor
    """(cells,): pixels from one cell of the map to the next."""


def cells_of(maps: Iterable[tuple[Tensor, int]]) -> Cells:
    """The cells of maps (..., height, width), each given with its stride."""
    parts = [_row(value, stride) for value, stride in maps]
    return Cells(torch.cat([centre for centre, _ in parts]), torch.cat([stride for _, stride in parts]))


def _row(value: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(value.dtype, torch.float32)
    y, x = ((torch.arange(size, dtype=kind, device=value.device) + 0.5) * stride for size in value.shape[-2:])
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    centre = torch.stack((columns, rows), -1).flatten(0, 1)
    return centre, torch.full_like(centre[:, 0], stride)
