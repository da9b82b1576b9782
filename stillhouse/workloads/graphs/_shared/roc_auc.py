"""The area under the receiver operating characteristic, for answers that are yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def roc_auc(value: Float[Tensor, " rows"], positive: Bool[Tensor, " rows"]) -> float:
    """How likely a positive row has a larger value than a negative one, ties counting half; 0.5 where one of the two is missing."""
    negative = int((~positive).sum())
    pairs = negative * (len(positive) - negative)
    if not pairs:
        return 0.5
    _, place, counts = torch.unique(value, return_inverse=True, return_counts=True)
    rank = counts.cumsum(0).double() - (counts.double() - 1) / 2
    above = rank[place[positive]].sum() - (len(positive) - negative) * (len(positive) - negative + 1) / 2
    return float(above) / pairs
