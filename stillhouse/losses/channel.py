"""CWD: each channel's softmax over positions follows the teacher's, most of all where the teacher is active (arXiv 2011.13256)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, Pairs, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class ChannelSettings(PairSettings):
    """The features that are compared, and the `temperature` that divides those of both.

    The gradient is proportional to it, so the loss's weight goes with it.
    """

    temperature: float = Field(4.0, gt=0)


class Channel(nn.Module):
    """Sum over feature pairs of T^2 KL(teacher || student) between softmaxes over the positions of a channel.

    The mean is over the samples and the teacher's channels: with an adapter the student's have become as many.
    Raises UserError, when it is made, at features that cannot be paired or have a single position.
    """

    def __init__(self, settings: ChannelSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.temperature = settings.temperature
        self.pairing = Pairing(settings, student, teacher)
        with torch.no_grad():
            _refuse_single_positions(self.pairing(student, teacher))

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, at least 0, over the feature pairs of two outputs."""
        return torch.stack([self._divergence(*pair) for pair in self.pairing(student, teacher)]).sum()

    def _divergence(
        self, student: Float[Tensor, "batch channel positions"], teacher: Float[Tensor, "batch channel positions"]
    ) -> Float[Tensor, ""]:
        ours, theirs = (log_softmax(value / self.temperature, dim=2) for value in (student, teacher))
        channels = teacher.shape[0] * teacher.shape[1]
        return self.temperature**2 / channels * kl_div(ours, theirs, reduction="sum", log_target=True)


def _refuse_single_positions(pairs: Pairs) -> None:
    for ours, _ in pairs:
        if ours.shape[2] < 2:
            raise UserError(
                "channel wants at least two positions, over which it takes softmaxes, got (batch, channel, positions) = "
                f"{tuple(ours.shape)}; rows of a batch are samples, not positions"
            )


LOSS = Loss(settings=ChannelSettings, make=Channel)
