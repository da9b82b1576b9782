"""Shortest-path distances of node pairs, each on the graph without the pair's own edges, so that no answer is told."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from stages.workloads.knowledge_graph.graph import Graph
from stages.workloads.knowledge_graph.sums import Sums

_CELLS = 2**23
"""Nodes times pairs that one search holds at a time: 48 MB."""


def distances(graph: Graph, pairs: Tensor, hops: int, *, directed: bool) -> Tensor:
    """Hops from pairs[:, 0] to pairs[:, 1] with every edge between the two removed, in either direction and of any relation.

    `pairs` is (pairs, 2); the answer (pairs,) holds 0 for i = j, and hops + 1 where more than `hops` would be needed.
    Undirected distances may use every edge both ways; they are symmetric (arXiv 2302.01313, section 5).
    """
    if not directed:
        pairs = torch.sort(pairs, dim=1).values
    distinct, place = torch.unique(pairs[:, 0] * graph.nodes + pairs[:, 1], return_inverse=True)
    links = _links(graph, directed)
    parts = distinct.split(max(1, _CELLS // graph.nodes))
    found = [_search(links, part // graph.nodes, part % graph.nodes, graph.nodes, hops) for part in parts]
    return torch.cat(found)[place] if found else place


@lru_cache(maxsize=8)
def _links(graph: Graph, directed: bool) -> Sums:
    """Rows are targets, columns are sources, each joined pair once."""
    source, target = (graph.head, graph.tail) if directed else graph.augmented()[::2]
    codes = torch.unique(target * graph.nodes + source)
    return Sums.of(codes // graph.nodes, codes % graph.nodes, (graph.nodes, graph.nodes))


def _search(links: Sums, source: Tensor, target: Tensor, nodes: int, hops: int) -> Tensor:
    """One breadth-first search a pair, all side by side; a cell is pair * nodes + node.

    A path may pass neither its source nor its target on the way, so the edges that it could misuse are those between
    the two: they are never taken, because both count as seen and a pair is found one step before its target.
    """
    start = torch.arange(len(source), device=source.device) * nodes
    found = torch.where(source == target, 0, hops + 1)
    seen, goal = torch.zeros(2, len(source) * nodes, dtype=torch.bool, device=source.device)
    seen[start + source] = seen[start + target] = True
    goal[_onward(links.starts, links.columns, start, target)[1]] = True
    pair, cell = _onward(links.starts_back, links.columns_back, start, source)
    for hop in range(2, hops + 1):
        fresh = ~seen[cell]
        pair, cell = pair[fresh], cell[fresh]
        arrived = pair[goal[cell]]
        found[arrived] = found[arrived].clamp(max=hop)
        if hop == hops or not len(cell):
            break
        cell = _distinct(cell, seen)
        cell = cell[found[cell // nodes] > hops]
        pair = cell // nodes
        place, cell = _onward(links.starts_back, links.columns_back, start[pair], cell % nodes)
        pair = pair[place]
    return found


def _distinct(cell: Tensor, seen: Tensor) -> Tensor:
    """Each cell once, without sorting: of equal ones that stays whose mark survives. Marks them as seen."""
    mark, order = torch.empty_like(seen, dtype=torch.int32), torch.arange(len(cell), dtype=torch.int32, device=cell.device)
    seen[cell], mark[cell] = True, order
    return cell[mark[cell] == order]


def _onward(starts: Tensor, columns: Tensor, start: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """All entries of some rows of a sparse matrix: the place of the row among `row`, and `start` + column."""
    counts = starts[row + 1] - starts[row]
    place = torch.repeat_interleave(torch.arange(len(row), device=row.device), counts)
    first = starts[row] - (counts.cumsum(0) - counts)
    return place, start[place] + columns[torch.arange(len(place), device=row.device) + first[place]]
