"""Imitation of features: the student's follow the teacher's in mean and scale too (FitNets, arXiv 1412.6550, eq. 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class Squared(nn.Module):
    """Sum over feature pairs of the mean squared difference.

    The 1x1 adapter is there only where channel counts differ; the published one is there always.
    Raises UserError, when it is made, at features that cannot be paired.
    """

    def __init__(self, settings: PairSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.pairing = Pairing(settings, student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in squared units of the features, at least 0, over the feature pairs of two outputs."""
        return torch.stack([mse_loss(ours, theirs) for ours, theirs in self.pairing(student, teacher)]).sum()


LOSS = Loss(settings=PairSettings, make=Squared)
