"""Principal neighbourhood aggregation: mean, extremes and deviation of neighbours, scaled by how many there are (arXiv 2004.05718)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_edges.geometric import GeometricSettings, network

_AGGREGATORS = ["mean", "min", "max", "std"]
_SCALERS = ["identity", "amplification", "attenuation"]
_DEGREE = 4
"""What the usual number of neighbours, by which scalers divide, is before training; it is learnt."""


class PnaSettings(GeometricSettings):
    """The sizes alone."""

    family: Literal["pna"] = "pna"


def pna(settings: PnaSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and pairs of nodes to scores (queries, candidates)."""
    histogram = nn.functional.one_hot(torch.tensor(_DEGREE))
    more: dict[str, Any] = {"aggregators": _AGGREGATORS, "scalers": _SCALERS, "deg": histogram, "train_norm": True}
    return network("PNA", settings, sizes, architecture, **more)


FAMILY = Family(PnaSettings, pna)
