"""Attention transfer: the student is active at the positions at which the teacher is, whatever their channels (arXiv 1612.03928)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class Attention(nn.Module):
    """Sum over feature pairs of the mean over samples and positions of (A_student - A_teacher)^2.

    A is a sample's sum of squares over channels, divided by its norm over positions; so widths may differ without an adapter. This is the
    form of the authors' code; their equation 2 has the norm of the difference, not squared. The mean makes the loss fall as
    1 / positions: a weight of 1000 belongs to it, and more where maps are large. Maps of different sizes are resized before they are
    squared. Raises UserError, when it is made, at features that cannot be paired or have a single position.
    """

    def __init__(self, settings: PairSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.pairing = Pairing(settings, student, teacher, adapted=False)
        for ours, _ in self.pairing(student, teacher):
            if ours.shape[2] < 2:
                raise UserError(f"attention wants at least two positions, got (batch, channel, positions) = {tuple(ours.shape)}")

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """A scalar, at least 0 and for each feature pair at most 2 / positions."""
        return torch.stack([mse_loss(_energy(ours), _energy(theirs)) for ours, theirs in self.pairing(student, teacher)]).sum()


def _energy(value: Float[Tensor, "batch _ positions"]) -> Float[Tensor, "batch positions"]:
    return normalize(value.square().mean(1), dim=1)


LOSS = Loss(settings=PairSettings, make=Attention)
