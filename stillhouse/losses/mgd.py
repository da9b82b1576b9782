"""MGD: from a part of the student's map, a small network that is trained along must be able to paint the teacher's (arXiv 2205.01529)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class MgdSettings(PairSettings):
    """Which share of the student's map is hidden from the network at each step: whole `positions`, or whole `channels`.

    Published were 0.75 of the positions for segmentation and 0.65 for detectors of one stage, both with a weight of 2e-5, and 0.15 of
    the channels for classification, with 7e-5.
    """

    hidden: float = Field(0.75, ge=0, le=1)
    of: Literal["positions", "channels"] = "positions"


class Mgd(nn.Module):
    """Sum over feature pairs, channels and positions of (G(m s) - t)^2, averaged over samples, with a new mask m of 0 and 1 at each call.

    G is a 3x3 convolution, ReLU and another, at the teacher's width, drawn from torch's global seed and trained with the student, as the
    mask is drawn from there. What is not hidden is not scaled up. The sum makes the loss grow with the map. Raises UserError, when it
    is made, at features that cannot be paired or are no maps (two axes of positions).
    """

    def __init__(self, settings: MgdSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        self.pairing = Pairing(settings, student, teacher)
        self.generators = nn.ModuleList(_generator(theirs) for _, theirs in self.pairing.grids(student, teacher))

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in squared units of the teacher's features; it is not 0 where the student equals the teacher."""
        pairs = self.pairing.grids(student, teacher)
        with torch.autocast(pairs[0][0].device.type, enabled=False):
            painted = [(generate(self._masked(ours)), theirs) for generate, (ours, theirs) in zip(self.generators, pairs, strict=True)]
        return torch.stack([mse_loss(ours, theirs, reduction="sum") / len(theirs) for ours, theirs in painted]).sum()

    def _masked(self, value: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch channel height width"]:
        samples, channels, *grid = value.shape
        shape = (samples, 1, *grid) if self.settings.of == "positions" else (samples, channels, 1, 1)
        return value * (torch.rand(shape, device=value.device) >= self.settings.hidden)


def _generator(like: Float[Tensor, "batch channel *grid"]) -> nn.Module:
    if like.dim() != 4:
        raise UserError(f"mgd wants maps with two axes of positions, got (batch, channel, *positions) = {tuple(like.shape)}")
    width = like.shape[1]
    first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
    return nn.Sequential(first, nn.ReLU(), second).to(like)


LOSS = Loss(settings=MgdSettings, make=Mgd)
