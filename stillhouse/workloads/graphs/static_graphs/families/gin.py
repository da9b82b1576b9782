"""Graph isomorphism networks: two linear layers on the sum of a node and its neighbours (arXiv 1810.00826)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs.static_graphs.geometric import GeometricSettings, network


class GinSettings(GeometricSettings, Skips):
    """The sizes; sums keep what means lose: how many there are."""

    family: Literal["gin"] = "gin"
    pool: Literal["sum", "mean", "max"] = "sum"


def gin(settings: GinSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and the graph of each node to classes or values (graphs, outputs)."""
    return network("GIN", settings, sizes, architecture)


FAMILY = Family(GinSettings, gin)
