"""Networks of PyTorch Geometric for pairs of nodes: one of nodes, and a weighted product of what it finds for both."""

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

_NODES = 6
"""Of the example, a ring."""


class GeometricSettings(Settings):
    """The sizes of a network."""

    hidden: int = Field(64, gt=1)
    """The width of each layer."""
    layers: int = Field(2, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    norm: Literal["none", "batch"] = "none"
    """`batch` normalises over the nodes between layers."""
    features: dict[str, Watched] = Field(default_factory=dict)
    """What losses may compare: a name of one's own -> the name of a module, such as `body`."""


class Paired(nn.Module):
    """A network of nodes `body`, and the linear layer `head` on products of two nodes, entry by entry."""

    def __init__(self, body: nn.Module, hidden: int, *, edges: bool) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(hidden, 1)
        self._edges = edges

    def forward(self, x: Tensor, edge_index: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """(nodes, features), (2, edges), (queries,) and (queries, candidates) to (queries, candidates)."""
        nodes: Tensor = self.body(x, edge_index) if self._edges else self.body(x)
        found: Tensor = self.head(nodes[source].unsqueeze(1) * nodes[target]).squeeze(-1)
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
    """A network of the class `name` of `torch_geometric.nn.models`, with `more` arguments, and what scores two of its nodes.

    Raises UserError if the package is not installed, and as `foreign.network`.
    """
    models = library.models()
    norm = "batch_norm" if settings.norm == "batch" else None
    widths = {"in_channels": sizes["features"], "hidden_channels": settings.hidden, "out_channels": settings.hidden}
    given = widths | {"num_layers": settings.layers, "dropout": settings.dropout, "norm": norm, **more}

    def make() -> nn.Module:
        return Paired(getattr(models, name)(**given), settings.hidden, edges=edges)

    key = json.dumps([name, given], sort_keys=True, default=Tensor.tolist)
    found = foreign.network(key, make, foreign.AsOutput("candidates"), example(sizes), architecture, (2, 3))
    return watch(found, settings.features, architecture)


def example(sizes: Mapping[str, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, edges both ways, and two queries of three candidates each."""
    place = torch.arange(_NODES)
    edges = torch.stack((torch.cat((place, place.roll(1))), torch.cat((place.roll(1), place))))
    return torch.zeros(_NODES, sizes["features"]), edges, place[:2], torch.stack((place[1:4], place[2:5]))
