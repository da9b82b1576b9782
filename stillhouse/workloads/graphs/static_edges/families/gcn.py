"""Graph convolutions: each layer takes the mean over a node and its neighbours, weighted by their degrees (arXiv 1609.02907)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs._shared.messages import by_matrix
from stillhouse.workloads.graphs.static_edges.geometric import network


class GcnSettings(Skips):
    """The sizes, and what leads past layers."""

    family: Literal["gcn"] = "gcn"


def gcn(settings: GcnSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and pairs of nodes to scores (queries, candidates)."""
    return by_matrix(network("GCN", settings, sizes, architecture), "body")


FAMILY = Family(GcnSettings, gcn)
