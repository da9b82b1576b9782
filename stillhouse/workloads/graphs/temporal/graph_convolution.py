"""The graph convolution of GCN (arXiv 1609.02907): A^ x with A^ = D^-1/2 (A + I) D^-1/2, D the weights that go into each node.

Each node has one self loop of weight 1, in place of its own. Without normalisation A^ = A + I.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from stillhouse.space.blueprint import declare, fixed
from stillhouse.workloads.graphs.temporal.adjacency import Adjacency, Aggregate, Edges
from stillhouse.workloads.graphs.temporal.batch import Batch


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A^ of every step of a batch."""

    others: Adjacency
    own: Tensor
    """(steps, nodes, 1), the diagonal; one step with static edges."""

    @staticmethod
    def of(batch: Batch, normalize: bool) -> Neighbourhood:
        """All steps at once."""
        edges = Edges.of(batch).without_loops()
        own = edges.weight.new_ones(edges.size)
        if normalize:
            own = 1 / (1 + edges.degree(edges.target))
            scale = own.sqrt()
            edges = replace(edges, weight=edges.weight * scale[edges.source] * scale[edges.target])
        return Neighbourhood(Adjacency(edges), own.view(-1, edges.nodes, 1))


class GraphSum(nn.Module):
    """A^ x, at one step or at all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.others = Aggregate()
        declare(self, {}, (fixed(1),))

    def forward(self, table: Tensor, around: Neighbourhood, step: int | None = None) -> Tensor:
        """(nodes, channels) at one step, or (steps, nodes, channels) at all of them -> the same shape."""
        own = around.own if step is None else around.own[around.others.step(step)]
        return self.others(table, around.others, step).addcmul(table, own.to(table.dtype))

    def rows(self, table: Tensor, around: Neighbourhood, step: int | None = None) -> int:
        """Multiply-adds of the self loops."""
        return table.numel()
