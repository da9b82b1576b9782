"""Graph convolutions: each layer takes the mean over a node and its neighbours, weighted by their degrees (arXiv 1609.02907)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs._shared.messages import by_matrix
from stillhouse.workloads.graphs.static_nodes.geometric import GeometricSettings, network


class GcnSettings(GeometricSettings, Skips):
    """The sizes, and what leads past layers."""

    family: Literal["gcn"] = "gcn"


def gcn(settings: GcnSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features) and edges (2, edges) to classes (nodes, classes)."""
    return by_matrix(network("GCN", settings, sizes, architecture))


FAMILY = Family(GcnSettings, gcn)
