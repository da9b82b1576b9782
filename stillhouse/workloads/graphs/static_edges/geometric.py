"""Networks of PyTorch Geometric for pairs of nodes: one of nodes, and a weighted product of what it finds for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.watched import watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Sizes, arguments, body, key, ring

_NODES = 6
"""Of the example, a ring."""


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
    settings: Sizes,
    sizes: Mapping[str, int],
    architecture: Architecture | None,
    *,
    edges: bool = True,
    **more: Any,
) -> nn.Module:
    """A network of the class `name` of `torch_geometric.nn.models`, with `more` arguments, and what scores two of its nodes.

    Raises UserError if the package is not installed, and as `foreign.network`.
    """
    given = arguments(settings, sizes["features"], settings.hidden, more)

    def make() -> nn.Module:
        return Paired(body(name, settings, given), settings.hidden, edges=edges)

    recipe = key(name, settings, given)
    found = foreign.network(recipe, make, foreign.AsOutput("candidates"), example(sizes), architecture, (2, 3))
    return watch(found, settings.features, architecture)


def example(sizes: Mapping[str, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, edges both ways, and two queries of three candidates each."""
    place = torch.arange(_NODES)
    return torch.zeros(_NODES, sizes["features"]), ring(_NODES), place[:2], torch.stack((place[1:4], place[2:5]))
