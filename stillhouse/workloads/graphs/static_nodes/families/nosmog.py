"""The student of NOSMOG: no edge, but where each node lies in the graph, beside its features (arXiv 2208.10010)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_nodes.geometric import GeometricSettings, network, without_edges


class NosmogSettings(GeometricSettings):
    """The sizes; the positions are what `prepare: {positions: {size: 16}}` makes."""

    family: Literal["nosmog"] = "nosmog"
    positions: Literal[True] = True


def nosmog(settings: NosmogSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features and positions (nodes, features + positions) to classes (nodes, classes); edges are left out."""
    return network("MLP", settings, sizes, architecture, without_edges)


FAMILY = Family(NosmogSettings, nosmog)
