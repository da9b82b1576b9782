"""Pair-wise similarities: which positions of a sample are alike in the teacher shall be alike in the student (arXiv 1903.04197)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, mse_loss, normalize

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class PairwiseSettings(PairSettings):
    """The features, and the side of the squares over which maps (two axes of positions) are max-pooled first; 1 leaves them."""

    pool: int = Field(2, gt=0)


class Pairwise(nn.Module):
    """Sum over feature pairs of the mean over samples and pairs of positions of (cosine_student - cosine_teacher)^2.

    The cosine is between the channels at two positions, so widths may differ without an adapter. It takes memory for the square of the
    number of positions; the pooling to squares of 2 is that of CIRKD's port, the authors' own leaves four positions. The gradient
    goes through the norms, in the authors' code it does not. Raises UserError, when it is made, at features that cannot be paired.
    """

    def __init__(self, settings: PairwiseSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.pool = settings.pool
        self.pairing = Pairing(settings, student, teacher, adapted=False)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """A scalar between 0 and 4 for each feature pair."""
        pairs = self.pairing.grids(student, teacher)
        with torch.autocast(pairs[0][0].device.type, enabled=False):
            return torch.stack([mse_loss(self._cosines(ours), self._cosines(theirs)) for ours, theirs in pairs]).sum()

    def _cosines(self, value: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, "batch positions positions"]:
        if self.pool > 1 and value.dim() == 4:
            value = max_pool2d(value, self.pool, ceil_mode=True)
        unit = normalize(value.flatten(2), dim=1)
        return unit.transpose(1, 2) @ unit


LOSS = Loss(settings=PairwiseSettings, make=Pairwise)
