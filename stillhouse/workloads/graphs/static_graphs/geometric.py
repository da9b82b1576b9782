"""Networks of PyTorch Geometric for whole graphs: one of nodes, a sum over those of each graph, and a linear layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.watched import Watched, watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared import library

_NODES, _FIRST = 6, 4
"""Of the example: a ring, of which the first nodes are one graph and the others another."""


class GeometricSettings(Settings):
    """The sizes of a network."""

    hidden: int = Field(64, gt=1)
    """The width of each layer."""
    layers: int = Field(3, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    norm: Literal["none", "batch"] = "batch"
    """`batch` normalises over the nodes between layers."""
    pool: Literal["sum", "mean", "max"] = "mean"
    """What a graph is of its nodes."""
    features: dict[str, Watched] = Field(default_factory=dict)
    """What losses may compare: a name of one's own -> the name of a module, such as `body`."""


class Pooled(nn.Module):
    """A network of nodes `body`, its activated answers summed up graph by graph, and the linear layer `head`."""

    def __init__(self, body: nn.Module, pool: str, hidden: int, outputs: int, *, edges: bool) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(hidden, outputs)
        self._pool, self._edges = library.pool(pool), edges

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
    models = library.models()
    norm = "batch_norm" if settings.norm == "batch" else None
    widths = {"in_channels": sizes["features"], "hidden_channels": settings.hidden, "out_channels": settings.hidden}
    given = widths | {"num_layers": settings.layers, "dropout": settings.dropout, "norm": norm, **more}

    def make() -> nn.Module:
        return Pooled(getattr(models, name)(**given), settings.pool, settings.hidden, outputs(sizes), edges=edges)

    key = json.dumps([name, settings.pool, outputs(sizes), given], sort_keys=True, default=Tensor.tolist)
    found = foreign.network(key, make, foreign.AsOutput(meaning(sizes)), example(sizes), architecture, (2, outputs(sizes)))
    return watch(found, settings.features, architecture)


def outputs(sizes: Mapping[str, int]) -> int:
    """How many classes or values a graph has."""
    return sizes.get("classes") or sizes["values"]


def meaning(sizes: Mapping[str, int]) -> foreign.Meaning:
    """Of a prediction."""
    return "classes" if "classes" in sizes else "values"


def example(sizes: Mapping[str, int]) -> tuple[Tensor, Tensor, Tensor, int]:
    """Features, edges both ways, the graph of each node, and the number of graphs."""
    place = torch.arange(_NODES)
    edges = torch.stack((torch.cat((place, place.roll(1))), torch.cat((place.roll(1), place))))
    graph = (place >= _FIRST).long()
    return torch.zeros(_NODES, sizes["features"]), edges[:, graph[edges[0]] == graph[edges[1]]], graph, 2
