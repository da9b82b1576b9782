"""Graph isomorphism networks: two linear layers on the sum of a node and its neighbours (arXiv 1810.00826)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs._shared.messages import by_matrix
from stillhouse.workloads.graphs.static_edges.geometric import network


class GinSettings(Skips):
    """The sizes, and what leads past layers."""

    family: Literal["gin"] = "gin"


def gin(settings: GinSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and pairs of nodes to scores (queries, candidates)."""
    return by_matrix(network("GIN", settings, sizes, architecture), "body")


FAMILY = Family(GinSettings, gin)
