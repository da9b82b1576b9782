"""Cross-entropy where nearly everything is background: what is already known well counts little (arXiv 1708.02002, eq. 5)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

WEIGHT = 0.25
"""The weight of what is there; what is not there has the rest."""
POWER = 2.0


def focal(logit: Tensor, wanted: Tensor) -> Tensor:
    """-w (1 - p)^2 log p for each entry, with p the probability given to what is `wanted` (0 or 1)."""
    entropy = binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    missed = (wanted - logit.sigmoid()).abs()
    return (WEIGHT * wanted + (1 - WEIGHT) * (1 - wanted)) * missed**POWER * entropy
