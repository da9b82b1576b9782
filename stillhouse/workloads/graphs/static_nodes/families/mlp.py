"""A network that sees a node's own features and no edge: the student of GLNN (arXiv 2110.08727), and a control beside others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_nodes.geometric import GeometricSettings, network, without_edges


class MlpSettings(GeometricSettings):
    """The sizes alone."""

    family: Literal["mlp"] = "mlp"


def mlp(settings: MlpSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features) to classes (nodes, classes); edges are left out."""
    return network("MLP", settings, sizes, architecture, without_edges)


FAMILY = Family(MlpSettings, mlp)
