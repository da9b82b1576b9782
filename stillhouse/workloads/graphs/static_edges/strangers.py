"""Nodes that no edge joins to a given one, drawn uniformly and without trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Strangers:
    """Of each node, all nodes but itself and those that its edges lead to; made by `of`."""

    nodes: int
    first: Int[Tensor, " nodes"]
    """Where a node's row begins in `keys`."""
    keys: Int[Tensor, " known"]
    """To each node that is no stranger: node * nodes + how many strangers have a smaller number."""
    count: Int[Tensor, " nodes"]

    @classmethod
    def of(cls, edges: Int[Tensor, "2 edges"], nodes: int) -> Strangers:
        """Of a graph with these edges, each both ways."""
        itself = torch.arange(nodes)
        known = torch.unique(torch.cat((edges[0] * nodes + edges[1], itself * nodes + itself)))
        source, first = known // nodes, torch.searchsorted(known, itself * nodes)
        place = torch.arange(len(known)) - first[source]
        return cls(nodes, first, known - place, nodes - torch.bincount(source, minlength=nodes))

    def drawn(self, source: Int[Tensor, " queries"], chance: Float[Tensor, "queries many"]) -> Int[Tensor, "queries many"]:
        """Strangers of each source, by numbers from 0 to below 1; the same one may be drawn twice. Each source must have one."""
        count = self.count[source][:, None]
        rank = torch.minimum((chance * count).long(), count - 1)  # a product may be rounded up
        before = torch.searchsorted(self.keys, source[:, None] * self.nodes + rank, right=True) - self.first[source][:, None]
        return rank + before
