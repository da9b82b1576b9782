"""A network that sees the nodes of a graph one by one and no edge: a student of graph networks, and a control beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_graphs.geometric import GeometricSettings, network


class MlpSettings(GeometricSettings):
    """The sizes alone."""

    family: Literal["mlp"] = "mlp"


def mlp(settings: MlpSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), with the graph of each node, to classes or values (graphs, outputs)."""
    return network("MLP", settings, sizes, architecture, edges=False)


FAMILY = Family(MlpSettings, mlp)
