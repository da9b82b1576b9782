"""The neighbourhoods of some nodes, drawn at random: training on graphs whose messages do not fit into memory (arXiv 1706.02216)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Int

ALL = -1


@dataclass(frozen=True, eq=False)
class Incoming:
    """Edges in the order of the nodes that they lead to: those to node i come from `source[starts[i]:starts[i + 1]]`."""

    starts: Int[Tensor, " nodes_and_one"]
    source: Int[Tensor, " edges"]

    @classmethod
    def of(cls, edges: Int[Tensor, "2 edges"], nodes: int) -> Incoming:
        """Those of edges in any order."""
        counts = torch.bincount(edges[1], minlength=nodes)
        return cls(functional.pad(counts.cumsum(0), (1, 0)), edges[0][edges[1].argsort(stable=True)])

    def drawn(self, nodes: Int[Tensor, " nodes"], most: int, rng: torch.Generator) -> tuple[Int[Tensor, " drawn"], Int[Tensor, " drawn"]]:
        """Of the edges to each of the nodes `most` at random, none twice (or ALL): their sources, and their places in `nodes`."""
        first, counts = self.starts[nodes], self.starts[nodes + 1] - self.starts[nodes]
        place = torch.repeat_interleave(torch.arange(len(nodes)), counts)
        rank = torch.arange(len(place)) - (counts.cumsum(0) - counts)[place]
        edge = first[place] + rank
        if most != ALL:
            # In random order within each node; in double precision no node's number swallows the chance that is added to it.
            order = (place + torch.rand(len(place), generator=rng, dtype=torch.float64)).argsort()
            edge = edge[order[rank < most]]
            place = place[rank < most]
        return self.source[edge], place


def around(
    incoming: Incoming, asked: Int[Tensor, " asked"], most: tuple[int, ...], rng: torch.Generator
) -> tuple[Int[Tensor, " nodes"], Int[Tensor, "2 edges"]]:
    """The nodes from which messages reach the `asked` ones in as many steps as `most` has entries, these first, and the edges drawn.

    In each step so many edges are drawn to each node that the step before has added. Edges are between places among the nodes returned.
    """
    number = torch.full((len(incoming.starts) - 1,), -1)
    number[asked] = torch.arange(len(asked))
    nodes, ends, begun = asked, list[Tensor](), 0
    for each in most:
        source, place = incoming.drawn(nodes[begun:], each, rng)
        new = source[number[source] < 0].unique()
        number[new] = len(nodes) + torch.arange(len(new))
        ends.append(torch.stack((number[source], place + begun)))
        nodes, begun = torch.cat((nodes, new)), len(nodes)
    return nodes, torch.cat(ends, 1)
