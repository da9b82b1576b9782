"""CIRKD: positions are alike, within a picture and across the pictures of a batch, as they are in the teacher (arXiv 2204.06986)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, kl_div, log_softmax, normalize

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class CirkdSettings(PairSettings):
    """The features, the `temperature` that divides cosines, and the side of the squares over which maps are averaged first (1: none)."""

    temperature: float = Field(0.1, gt=0)
    pool: int = Field(2, gt=0)


class Cirkd(nn.Module):
    """Sum over feature pairs of KL(teacher || student) of softmaxes over positions, averaged over all rows and pairs of samples.

    A row has the cosines, divided by the temperature, between one position of a sample and all of another, or of the same. That is the
    mini-batch part of the method: its memories of pixels and regions, which want labels, are not here. Widths may differ without
    an adapter. Memory and time go with the square of the positions of a whole batch. Raises UserError, when it is made, at features
    that cannot be paired.
    """

    def __init__(self, settings: CirkdSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        self.pairing = Pairing(settings, student, teacher, adapted=False)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats, at least 0."""
        pairs = self.pairing.grids(student, teacher)
        with torch.autocast(pairs[0][0].device.type, enabled=False):
            return torch.stack([self._divergence(*pair) for pair in pairs]).sum()

    def _divergence(self, student: Float[Tensor, "batch _ *grid"], teacher: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, ""]:
        ours, theirs = self._rows(student), self._rows(teacher)
        return kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()

    def _rows(self, value: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, "batch positions batch positions"]:
        """Log probabilities; the last axis is that of a softmax."""
        if self.settings.pool > 1 and value.dim() == 4:
            value = avg_pool2d(value, self.settings.pool, ceil_mode=True)
        unit = normalize(value.flatten(2), dim=1)
        return log_softmax(torch.einsum("bcn,dcm->bndm", unit, unit) / self.settings.temperature, -1)


LOSS = Loss(settings=CirkdSettings, make=Cirkd, pools=lambda settings: True)
