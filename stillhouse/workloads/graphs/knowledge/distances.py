"""Shortest-path distances of node pairs, each on the graph without the pair's own edges, so that no answer is told."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from stillhouse.workloads.graphs._shared.sums import Sums
from stillhouse.workloads.graphs.knowledge.graph import Graph

_CELLS = 2**23
"""Nodes times pairs that one search holds at a time: 48 MB."""
_REMEMBERED = 2048
"""Nodes of the largest graph of which found distances are kept, in two bytes for each pair of nodes."""


def distances(graph: Graph, pairs: Tensor, hops: int, *, directed: bool) -> Tensor:
    """Hops from pairs[:, 0] to pairs[:, 1] with every edge between the two removed, in either direction and of any relation.

    `pairs` is (pairs, 2); the answer (pairs,) holds 0 for i = j, and hops + 1 where more than `hops` would be needed.
    Undirected distances may use every edge both ways; they are symmetric (arXiv 2302.01313, section 5).
    """
    if not directed:
        first, second = pairs.unbind(1)
        pairs = torch.stack((torch.minimum(first, second), torch.maximum(first, second)), 1)
    codes = pairs[:, 0] * graph.nodes + pairs[:, 1]
    if graph.nodes > _REMEMBERED or torch.compiler.is_compiling():
        distinct, place = torch.unique(codes, return_inverse=True)
        return _found(graph, distinct, hops, directed)[place]
    known = _known(graph, hops, directed, str(codes.device))
    new = codes[known[codes] < 0]
    if len(new):
        new = torch.unique(new)
        known[new] = _found(graph, new, hops, directed).to(known.dtype)
    return known[codes].long()


@lru_cache(maxsize=8)
def _known(graph: Graph, hops: int, directed: bool, device: str) -> Tensor:
    """(nodes * nodes,): what was found already of the pairs of a graph, which batches ask again in every pass; -1 for the rest."""
    return torch.full((graph.nodes**2,), -1, dtype=torch.int16, device=device)


def _found(graph: Graph, codes: Tensor, hops: int, directed: bool) -> Tensor:
    links = _links(graph, directed)
    parts = codes.split(max(1, _CELLS // graph.nodes))
    found = [_search(links, part // graph.nodes, part % graph.nodes, graph.nodes, hops) for part in parts]
    return torch.cat(found) if found else codes


@lru_cache(maxsize=8)
def _links(graph: Graph, directed: bool) -> Sums:
    """Rows are targets, columns are sources, each joined pair once."""
    source, target = (graph.head, graph.tail) if directed else graph.augmented()[::2]
    codes = torch.unique(target * graph.nodes + source)
    return Sums.of(codes // graph.nodes, codes % graph.nodes, (graph.nodes, graph.nodes))


def _search(links: Sums, source: Tensor, target: Tensor, nodes: int, hops: int) -> Tensor:
    """Two breadth-first searches a pair, from both ends and all side by side, of which the cheaper one takes each step.

    Both take their first step at once and without the other end, so the edges between the two are never followed; then
    they touch when their radii sum to the distance. A cell is pair * nodes + node.
    """
    found = torch.where(source == target, 0, hops + 1)
    if hops == 1:
        return found
    forward = _Side(links.starts_back, links.columns_back, source, target, nodes)
    back = _Side(links.starts, links.columns, target, source, nodes)
    touched = forward.rim[back.seen[forward.rim]] // nodes
    found[touched] = found[touched].clamp(max=2)
    for distance in range(3, hops + 1):
        edges = torch.stack((forward.next_edges(), back.next_edges()))
        going = (found > hops) & (edges > 0).all(0)
        if not going.any():
            break
        cheaper = edges[0] <= edges[1]
        for side, other, chosen in ((forward, back, going & cheaper), (back, forward, going & ~cheaper)):
            side.step(chosen, going)
            touched = side.rim[other.seen[side.rim]] // nodes
            found[touched] = found[touched].clamp(max=distance)
    return found


class _Side:
    """The search from one end of each pair: the cells seen, and those on its rim, which starts at radius 1."""

    def __init__(self, starts: Tensor, columns: Tensor, end: Tensor, other: Tensor, nodes: int) -> None:
        self.starts, self.columns, self.nodes, self.pairs = starts, columns, nodes, len(end)
        first = torch.arange(len(end), device=end.device) * nodes
        self.seen = torch.zeros(len(end) * nodes, dtype=torch.bool, device=end.device)
        self.seen[first + end] = self.seen[first + other] = True
        self.rim = first + end
        every = torch.ones_like(end, dtype=torch.bool)
        self.step(every, every)

    def next_edges(self) -> Tensor:
        """(pairs,): edges that the next step has to follow."""
        node = self.rim % self.nodes
        edges = self.starts[node + 1] - self.starts[node]
        return torch.zeros(self.pairs, dtype=edges.dtype, device=edges.device).index_add(0, self.rim // self.nodes, edges)

    def step(self, chosen: Tensor, going: Tensor) -> None:
        """Moves the rims of the chosen pairs one edge on, and forgets those that are going no more."""
        pair = self.rim // self.nodes
        rim, kept = self.rim[chosen[pair]], self.rim[(going & ~chosen)[pair]]
        node = rim % self.nodes
        counts = self.starts[node + 1] - self.starts[node]
        place = torch.repeat_interleave(torch.arange(len(rim), device=rim.device), counts)
        first = self.starts[node] - (counts.cumsum(0) - counts)
        cell = (rim - node)[place] + self.columns[torch.arange(len(place), device=rim.device) + first[place]]
        cell = _distinct(cell[~self.seen[cell]], len(self.seen))
        self.seen[cell] = True
        self.rim = torch.cat((kept, cell))


def _distinct(cell: Tensor, cells: int) -> Tensor:
    """Each cell once, without sorting: of equal ones that stays whose mark survives."""
    mark, order = torch.empty(cells, dtype=torch.int32, device=cell.device), torch.arange(len(cell), dtype=torch.int32, device=cell.device)
    mark[cell] = order
    return cell[mark[cell] == order]
