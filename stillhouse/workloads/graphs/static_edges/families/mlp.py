"""A network that sees both nodes' own features and no edge: a student of graph networks, and a control beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Sizes
from stillhouse.workloads.graphs.static_edges.geometric import network


class MlpSettings(Sizes):
    """The sizes alone."""

    family: Literal["mlp"] = "mlp"


def mlp(settings: MlpSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features) and pairs of nodes to scores (queries, candidates); edges are left out."""
    return network("MLP", settings, sizes, architecture, edges=False)


FAMILY = Family(MlpSettings, mlp)
