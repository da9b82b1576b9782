"""Networks of PyTorch Geometric for whole graphs: one of nodes, a sum over those of each graph, and a linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.watched import watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared import installed
from stillhouse.workloads.graphs._shared.geometric import Sizes, arguments, body, key, ring

_NODES, _FIRST = 6, 4
"""Of the example: a ring, of which the first nodes are one graph and the others another."""


class GeometricSettings(Sizes):
    """The sizes of a network, and what a graph is of its nodes."""

    layers: int = Field(3, gt=0)
    norm: Literal["none", "batch"] = "batch"
    """`batch` normalises over the nodes between layers."""
    pool: Literal["sum", "mean", "max"] = "mean"
    """What a graph is of its nodes."""


class Pooled(nn.Module):
    """A network of nodes `body`, its activated answers summed up graph by graph, and the linear layer `head`."""

    def __init__(self, body: nn.Module, pool: str, hidden: int, outputs: int, *, edges: bool) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(hidden, outputs)
        self._pool, self._edges = installed.pool(pool), edges

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, graphs: int) -> Tensor:
        """(nodes, features), (2, edges) and the graph of each node to (graphs, outputs)."""
        nodes: Tensor = self.body(x, edge_index) if self._edges else self.body(x)
        found: Tensor = self.head(self._pool(nodes.relu(), batch, graphs))
        return found


def network(
    name: str,
    settings: GeometricSettings,
    sizes: Mapping[str, int],
    architecture: Architecture | None,
    *,
    edges: bool = True,
    **more: Any,
) -> nn.Module:
    """A network of the class `name` of `torch_geometric.nn.models`, with `more` arguments, and what makes graphs of nodes.

    Raises UserError if the package is not installed, and as `foreign.network`.
    """
    given = arguments(settings, sizes["features"], settings.hidden, more)

    def make() -> nn.Module:
        return Pooled(body(name, settings, given), settings.pool, settings.hidden, outputs(sizes), edges=edges)

    recipe = " ".join((key(name, settings, given), settings.pool, str(outputs(sizes))))
    found = foreign.network(recipe, make, foreign.AsOutput(meaning(sizes)), example(sizes), architecture, (2, outputs(sizes)))
    return watch(found, settings.features, architecture)


def outputs(sizes: Mapping[str, int]) -> int:
    """How many classes or values a graph has."""
    return sizes.get("classes") or sizes["values"]


def meaning(sizes: Mapping[str, int]) -> foreign.Meaning:
    """Of a prediction."""
    return "classes" if "classes" in sizes else "values"


def example(sizes: Mapping[str, int]) -> tuple[Tensor, Tensor, Tensor, int]:
    """Features, edges both ways, the graph of each node, and the number of graphs."""
    place, edges = torch.arange(_NODES), ring(_NODES)
    graph = (place >= _FIRST).long()
    return torch.zeros(_NODES, sizes["features"]), edges[:, graph[edges[0]] == graph[edges[1]]], graph, 2
