"""PKD: each channel of the student follows the teacher's in Pearson correlation, whatever its mean and scale (arXiv 2207.02039).

Statistics pool over the batch and all positions. On several devices the loss is given the whole batch, so that they are those of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, Pairs, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class PearsonSettings(PairSettings):
    """How a channel is standardised.

    `exact` divides by the biased standard deviation, so that the loss is the mean of 1 - r, or by `floor` if that is
    larger: the gradient into a nearly dead student channel grows like 1 / deviation, and `floor` ends the growth.
    `reference` is the published code's: n samples are divided by their unbiased deviation plus 1e-6, which makes the
    loss (n - 1) / n times as large and leaves a nearly dead channel a gradient a million times the usual one.
    """

    form: Literal["exact", "reference"] = "exact"
    floor: float = Field(1e-4, ge=1e-12)


class Pearson(nn.Module):
    """Sum over feature pairs of half the mean squared difference between standardised channels.

    Raises UserError, when it is made, at features that cannot be paired or have a single sample per channel.
    """

    def __init__(self, settings: PearsonSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        self.pairing = Pairing(settings, student, teacher)
        with torch.no_grad():
            _refuse_single_samples(self.pairing(student, teacher))

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """A scalar between 0 and 2 for each feature pair."""
        terms = [mse_loss(self._standard(ours), self._standard(theirs)) for ours, theirs in self.pairing(student, teacher)]
        return torch.stack(terms).sum() / 2

    def _standard(self, value: Float[Tensor, "batch channel positions"]) -> Float[Tensor, "batch channel positions"]:
        """Every channel of (batch, channel, positions) with mean 0 and deviation 1."""
        samples = value.shape[0] * value.shape[2]
        centred = value - value.mean((0, 2), keepdim=True)
        variance = centred.square().mean((0, 2), keepdim=True)
        if self.settings.form == "exact":
            return centred / variance.clamp_min(self.settings.floor**2).sqrt()
        unbiased = variance * (samples / max(samples - 1, 1))
        return centred / (unbiased.clamp_min(1e-24).sqrt() + 1e-6)  # the square root of 0 has no finite gradient


def _refuse_single_samples(pairs: Pairs) -> None:
    for ours, _ in pairs:
        if ours.shape[0] * ours.shape[2] < 2:
            raise UserError(f"a correlation wants at least two samples per channel, got (batch, channel, positions) = {tuple(ours.shape)}")


LOSS = Loss(settings=PearsonSettings, make=Pearson, pools=lambda settings: True)
