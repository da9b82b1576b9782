"""Graph attention: each head weighs a node's neighbours and itself by what it sees of them (arXiv 1710.10903, 2105.14491)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.heads import Heads
from stillhouse.workloads.graphs.static_edges.geometric import network


class GatSettings(Heads):
    """The sizes, and the heads."""

    family: Literal["gat"] = "gat"


def gat(settings: GatSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and pairs of nodes to scores (queries, candidates)."""
    return network("GAT", settings, sizes, architecture, heads=settings.heads, v2=settings.second)


FAMILY = Family(GatSettings, gat)
