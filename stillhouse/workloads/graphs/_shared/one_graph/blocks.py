"""A stochastic block model: classes of nodes, most of whose edges stay within their class, and features that only hint at the class."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator

from stillhouse.contracts.settings import Settings
from stillhouse.workloads.graphs._shared.one_graph.graph import Graph

_CELLS, _EDGES = 50_000_000, 20_000_000


class Blocks(Settings):
    """How large the graph is, and how much edges and features say of a node's class."""

    generator: Literal["blocks"]
    nodes: int = Field(600, gt=1, le=1_000_000)
    classes: int = Field(4, gt=1, le=1000)
    features: int = Field(16, gt=0, le=10_000)
    degree: float = Field(6.0, gt=0)
    """The mean number of edges of a node."""
    within: float = Field(0.8, ge=0, le=1)
    """How likely an edge is to stay within a class."""
    signal: float = Field(0.5, ge=0, le=1e6)
    """How far the classes' means lie apart, in standard deviations of one feature."""
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Blocks:
        if self.nodes < 2 * self.classes:
            raise ValueError(f"wanted two nodes of each of the {self.classes} classes at least - got {self.nodes} nodes")
        if self.nodes * self.features > _CELLS or self.nodes * self.degree / 2 > _EDGES:
            raise ValueError(f"wanted at most {_CELLS:,} numbers and {_EDGES:,} edges - got more")
        return self


def generate(settings: Blocks) -> Graph:
    """Classes take turns; an edge joins a node drawn by chance to one of its class or of another; features are normal about their mean."""
    rng = torch.Generator().manual_seed(settings.seed)
    label = torch.arange(settings.nodes) % settings.classes
    count = round(settings.nodes * settings.degree / 2)
    source = torch.randint(settings.nodes, (count,), generator=rng)
    step = torch.randint(1, settings.classes, (count,), generator=rng)
    stays = torch.rand(count, generator=rng, dtype=torch.float64) < settings.within
    other = torch.where(stays, label[source], (label[source] + step) % settings.classes)
    sizes = torch.bincount(label)[other]
    place = (torch.rand(count, generator=rng, dtype=torch.float64) * sizes).long()
    target = place * settings.classes + other
    means = settings.signal * torch.randn(settings.classes, settings.features, generator=rng)
    features = means[label] + torch.randn(settings.nodes, settings.features, generator=rng)
    ends = (source.numpy(), target.numpy())
    return Graph(features.numpy(), label.numpy(), tuple(range(settings.classes)), *ends, None)
