"""Distances against a search that is written out, one pair at a time."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.workloads.graphs._shared.sums import Sums
from stillhouse.workloads.graphs.knowledge import distances as module
from stillhouse.workloads.graphs.knowledge.distances import distances
from stillhouse.workloads.graphs.knowledge.graph import Graph
from tests.workloads.graphs.knowledge.graphs import graph_of, random_graph


def searched(graph: Graph, start: int, end: int, hops: int, directed: bool) -> int:
    """Breadth-first search without the edges between the two."""
    neighbours: dict[int, set[int]] = {node: set() for node in range(graph.nodes)}
    for head, tail in zip(graph.head.tolist(), graph.tail.tolist(), strict=True):
        if {head, tail} != {start, end}:
            neighbours[head].add(tail)
            if not directed:
                neighbours[tail].add(head)
    distance, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for neighbour in neighbours[node] - distance.keys():
            distance[neighbour] = distance[node] + 1
            queue.append(neighbour)
    return min(distance.get(end, hops + 1), hops + 1)


@pytest.mark.parametrize("directed", [False, True])
def test_they_equal_a_plain_search_on_200_graphs(directed: bool) -> None:
    rng, seen = torch.Generator().manual_seed(1), set()
    for number in range(200):
        nodes = 2 + number % 11
        graph = random_graph(rng, nodes, 2, int(torch.randint(1, 3 * nodes, (), generator=rng)))
        pairs = torch.cartesian_prod(torch.arange(nodes), torch.arange(nodes))
        for hops in {1, 2, 3, nodes}:
            expected = [searched(graph, start, end, hops, directed) for start, end in pairs.tolist()]
            assert distances(graph, pairs, hops, directed=directed).tolist() == expected
            assert distances(graph, pairs.flip(0), hops, directed=directed).tolist() == expected[::-1]  # as they were kept
            seen |= set(expected)
    assert seen >= {0, 2, 3, 4, 5, 6}


def test_the_pair_itself_is_removed_in_both_directions() -> None:
    triangle = graph_of([(0, 0, 1), (1, 1, 0), (0, 0, 2), (2, 0, 1)], 3, 2)
    assert distances(triangle, torch.tensor([[0, 1], [1, 0], [0, 2], [1, 1]]), 3, directed=False).tolist() == [2, 2, 2, 0]
    assert distances(triangle, torch.tensor([[0, 1], [1, 0]]), 3, directed=True).tolist() == [2, 4]


def test_undirected_distances_are_symmetric_and_directed_ones_are_not() -> None:
    graph = random_graph(torch.Generator().manual_seed(2), 20, 3, 30)
    pairs = torch.cartesian_prod(torch.arange(20), torch.arange(20))
    both = [distances(graph, way, 5, directed=False) for way in (pairs, pairs.flip(1))]
    assert torch.equal(*both)
    both = [distances(graph, way, 5, directed=True) for way in (pairs, pairs.flip(1))]
    assert not torch.equal(*both)


def test_pairs_may_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(torch.Generator().manual_seed(3), 15, 3, 25)
    pairs = torch.randint(15, (50, 2), generator=torch.Generator().manual_seed(4))
    whole = distances(graph, pairs, 4, directed=True)
    monkeypatch.setattr(module, "_CELLS", 40)
    assert torch.equal(distances(graph, pairs, 4, directed=True), whole)
    assert distances(graph, pairs[:0], 4, directed=True).shape == (0,)


@pytest.mark.parametrize("remembered", [0, 2048])
def test_a_pair_is_searched_once_where_distances_are_kept(monkeypatch: pytest.MonkeyPatch, remembered: int) -> None:
    graph = random_graph(torch.Generator().manual_seed(5), 12, 2, 20)
    searches: list[int] = []
    search = module._search

    def counting(links: Sums, source: Tensor, *others: Any) -> Tensor:
        searches.append(len(source))
        return search(links, source, *others)

    monkeypatch.setattr(module, "_search", counting)
    monkeypatch.setattr(module, "_REMEMBERED", remembered)
    pairs = torch.tensor([[0, 1], [1, 0], [3, 4]])
    first = distances(graph, pairs, 3, directed=False)
    assert torch.equal(distances(graph, pairs, 3, directed=False), first)
    assert first.dtype == torch.int64
    distances(graph, torch.tensor([[4, 3], [5, 6]]), 3, directed=False)
    assert searches == ([2, 1] if remembered else [2, 2, 2])
    distances(graph, pairs, 2, directed=False)
    assert searches[-1] == 2
