"""What recurrent networks on graphs share: counted recurrent layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import declare, fixed


class RecurrentLinear(nn.Linear):
    """A linear map without bias whose result is added to a value."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, bias=False)
        declare(self, {}, (fixed(outside), fixed(inside)))

    def forward(self, state: Tensor, value: Tensor) -> Tensor:  # type: ignore[override]
        """(rows, inside) and (rows, outside) -> (rows, outside)"""
        return torch.addmm(value, state, self.weight.t())


def gru(width: int) -> nn.GRU:
    """A GRU from `width` to `width` channels, (steps, rows, channels)."""
    return declare(nn.GRU(width, width), {}, (fixed(3 * width), fixed(2 * width)))
