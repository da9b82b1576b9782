"""Graphs of nodes of several kinds, whose class is which kinds are joined: nothing but edges tells one class from another."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from stillhouse.contracts.settings import Settings
from stillhouse.workloads.graphs.static_graphs.raw import Graphs, Targets

_NODES = 20_000_000


class Rules(Settings):
    """How many graphs there are, and how strictly each keeps its rule."""

    generator: Literal["rules"]
    graphs: int = Field(300, gt=1, le=1_000_000)
    classes: int = Field(3, gt=1, le=100)
    kinds: int = Field(4, gt=1, le=200)
    nodes: tuple[int, int] = (8, 16)
    """The fewest and the most nodes of a graph."""
    degree: float = Field(3.0, gt=0, le=100)
    """The mean number of edges of a node."""
    within: float = Field(0.9, ge=0, le=1)
    """How likely an edge is to keep the rule of its graph's class."""
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Rules:
        if self.classes > self.kinds // 2 + 1:
            raise ValueError(f"wanted at most {self.kinds // 2 + 1} classes of {self.kinds} kinds - got {self.classes}")
        if not self.kinds <= self.nodes[0] <= self.nodes[1]:
            raise ValueError(f"wanted nodes [fewest, most], from {self.kinds} kinds on - got {list(self.nodes)}")
        if self.graphs * self.nodes[1] * self.degree / 2 > _NODES:
            raise ValueError(f"wanted at most {_NODES:,} edges - got more")
        return self


def generate(settings: Rules, *, values: bool) -> Graphs:
    """Classes take turns, and so do the kinds of a graph's nodes; an edge of class c joins nodes whose kinds are c apart, or any two.

    The value of a graph is the share of its edges that join nodes of one kind.
    """
    rng = torch.Generator().manual_seed(settings.seed)
    fewest, most = settings.nodes
    sizes = torch.randint(fewest, most + 1, (settings.graphs,), generator=rng)
    first, graph = sizes.cumsum(0) - sizes, torch.repeat_interleave(torch.arange(settings.graphs), sizes)
    kind = (torch.arange(len(graph)) - first[graph]) % settings.kinds
    edges = (sizes * settings.degree / 2).round().long().clamp(min=1)
    inside = torch.repeat_interleave(torch.arange(settings.graphs), edges)
    source = (torch.rand(len(inside), generator=rng, dtype=torch.float64) * sizes[inside]).long()
    label = torch.arange(settings.graphs) % settings.classes
    keeps = torch.rand(len(inside), generator=rng, dtype=torch.float64) < settings.within
    anything = torch.randint(settings.kinds, (len(inside),), generator=rng)
    wanted = torch.where(keeps, (source + label[inside]) % settings.kinds, anything)
    alike = (sizes[inside] - wanted + settings.kinds - 1) // settings.kinds  # nodes of that kind in the graph
    target = wanted + settings.kinds * (torch.rand(len(inside), generator=rng, dtype=torch.float64) * alike).long()
    same = torch.bincount(inside[source % settings.kinds == wanted], minlength=settings.graphs).double()
    source, target = source + first[inside], target + first[inside]
    learnt = Targets(label.numpy(), tuple(range(settings.classes)))
    if values:
        learnt = Targets(np.zeros(settings.graphs, dtype=np.int64), values=(same / edges).float()[:, None].numpy())
    return Graphs(graph.numpy(), None, kind.numpy().astype(str).astype(object), source.numpy(), target.numpy(), learnt, None)
