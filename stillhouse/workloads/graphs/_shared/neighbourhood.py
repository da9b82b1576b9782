"""How principal neighbourhood aggregation sums up neighbours (arXiv 2004.05718)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_AGGREGATORS = ["mean", "min", "max", "std"]
_SCALERS = ["identity", "amplification", "attenuation"]
_DEGREE = 4
"""What the usual number of neighbours, by which scalers divide, is before training; it is learnt."""


def aggregation() -> dict[str, Any]:
    """The arguments of the network that say so."""
    histogram = nn.functional.one_hot(torch.tensor(_DEGREE))
    return {"aggregators": _AGGREGATORS, "scalers": _SCALERS, "deg": histogram, "train_norm": True}
