"""Graph attention: each head weighs a node's neighbours and itself by what it sees of them (arXiv 1710.10903, 2105.14491)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_edges.geometric import GeometricSettings, network


class GatSettings(GeometricSettings):
    """`hidden` is the width of all heads together; a search drops heads."""

    family: Literal["gat"] = "gat"
    heads: int = Field(8, gt=1)
    second: bool = False
    """The second version, whose attention is not the same for all nodes."""

    @model_validator(mode="after")
    def _heads(self) -> GatSettings:
        if self.hidden % self.heads:
            raise ValueError(f"hidden should be a multiple of heads - got {self.hidden} and {self.heads}")
        return self


def gat(settings: GatSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Features (nodes, features), edges (2, edges) and pairs of nodes to scores (queries, candidates)."""
    return network("GAT", settings, sizes, architecture, heads=settings.heads, v2=settings.second)


FAMILY = Family(GatSettings, gat)
