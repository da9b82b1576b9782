"""Similarity of rows: products of the student's hidden rows follow those of the teacher's, as in NOSMOG (arXiv 2208.10010)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class StructureSettings(PairSettings):
    """Which features are compared, and at what scale."""

    scaled: bool = True
    """Divides each matrix of products by its norm, so that the loss is between 0 and 4 whatever the widths and the number of rows; else it
    is the published mean over pairs, in the features' units to the fourth power, whose weight was between 0.1 and 1e-9."""


class Structure(nn.Module):
    """Sum over feature pairs of |H_t H_t' - H_s H_s'|^2, summed (scaled) or averaged over all pairs of rows, H being (rows, channel).

    Rows are all positions of all samples: nodes, words, pixels. With D = H_t - H_s and S = H_t + H_s the difference is (D S' + S D') / 2,
    so that products of channels suffice, and no (rows, rows) is made. The adapter is linear and there where widths differ alone; the
    published one is there always, with a ReLU. Raises UserError, when it is made, at features that cannot be paired.
    """

    def __init__(self, settings: StructureSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.scaled = settings.scaled
        self.pairing = Pairing(settings, student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss, at least 0."""
        pairs = self.pairing(student, teacher)
        with torch.autocast(pairs[0][0].device.type, enabled=False):
            return torch.stack([self._distance(*map(_rows, pair)) for pair in pairs]).sum()

    def _distance(self, ours: Float[Tensor, "rows channel"], theirs: Float[Tensor, "rows channel"]) -> Float[Tensor, ""]:
        if self.scaled:
            ours, theirs = _unit(ours), _unit(theirs)
        apart, both = theirs - ours, theirs + ours
        mixed = both.T @ apart
        squared = ((apart.T @ apart) * (both.T @ both)).sum() / 2 + (mixed * mixed.T).sum() / 2
        return squared if self.scaled else squared / len(ours) ** 2


def _rows(value: Float[Tensor, "batch channel positions"]) -> Float[Tensor, "rows channel"]:
    return value.movedim(1, 2).flatten(0, 1)


def _unit(rows: Float[Tensor, "rows channel"]) -> Float[Tensor, "rows channel"]:
    """The rows scaled so that the matrix of their products has norm 1."""
    norm = (rows.T @ rows).square().sum().clamp_min(torch.finfo(rows.dtype).tiny)
    return rows / norm.sqrt().sqrt()


LOSS = Loss(settings=StructureSettings, make=Structure, pools=lambda settings: True)
