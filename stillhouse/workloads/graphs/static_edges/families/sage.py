"""GraphSAGE: each layer adds a map of the node itself and one of its neighbours' mean (arXiv 1706.02216)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs._shared.messages import by_matrix
from stillhouse.workloads.graphs.static_edges.geometric import network


class SageSettings(Skips):
    """The sizes, and what leads past layers."""

    family: Literal["sage"] = "sage"


def sage(settings: SageSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and pairs of nodes to scores (queries, candidates)."""
    return by_matrix(network("GraphSAGE", settings, sizes, architecture), "body")


FAMILY = Family(SageSettings, sage)
