"""GraphSAGE: each layer adds a map of the node itself and one of its neighbours' mean (arXiv 1706.02216)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Skips
from stillhouse.workloads.graphs._shared.messages import by_matrix
from stillhouse.workloads.graphs.static_nodes.geometric import GeometricSettings, network


class SageSettings(GeometricSettings, Skips):
    """The sizes, and what leads past layers."""

    family: Literal["sage"] = "sage"


def sage(settings: SageSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features) and edges (2, edges) to classes (nodes, classes)."""
    return by_matrix(network("GraphSAGE", settings, sizes, architecture))


FAMILY = Family(SageSettings, sage)
