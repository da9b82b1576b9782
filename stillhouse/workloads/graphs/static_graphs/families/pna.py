"""Principal neighbourhood aggregation: mean, extremes and deviation of neighbours, scaled by how many there are (arXiv 2004.05718)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs._shared.neighbourhood import aggregation
from stillhouse.workloads.graphs.static_graphs.geometric import GeometricSettings, network


class PnaSettings(GeometricSettings, Skips):
    """The sizes, and what leads past layers."""

    family: Literal["pna"] = "pna"


def pna(settings: PnaSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and the graph of each node to classes or values (graphs, outputs)."""
    return network("PNA", settings, sizes, architecture, **aggregation())


FAMILY = Family(PnaSettings, pna)
