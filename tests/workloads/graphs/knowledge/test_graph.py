"""What each hiding rule drops, against a loop over the edges, and that no answer is left to see."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.workloads.graphs.knowledge import graph as graphs
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, asked_pairs, hide_pairs, hide_triples, inverse, joins_target
from tests.workloads.graphs.knowledge.graphs import random_graph, some_triples

CASES = given(st.integers(0, 2**31), st.integers(2, 8), st.integers(1, 3), st.integers(0, 12))


def case(seed: int, nodes: int, relations: int, observed: int) -> tuple[Graph, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    graph = random_graph(rng, nodes, relations, min(observed, nodes * nodes * relations))
    return graph, some_triples(graph, rng, 3, 2)


def listed(graph: Graph) -> set[tuple[int, ...]]:
    return set(zip(graph.head.tolist(), graph.relation.tolist(), graph.tail.tolist(), strict=True))


@CASES
def test_hiding_pairs_drops_all_that_joins_them_and_nothing_else(seed: int, nodes: int, relations: int, observed: int) -> None:
    graph, triples = case(seed, nodes, relations, observed)
    pairs = {frozenset((head, tail)) for head, _, tail in triples.reshape(-1, 3).tolist()}
    kept = {triple for triple in listed(graph) if frozenset((triple[0], triple[2])) not in pairs}
    assert listed(hide_pairs(graph, triples)) == kept


@CASES
def test_hiding_triples_drops_them_and_their_inverse_copies(seed: int, nodes: int, relations: int, observed: int) -> None:
    graph, triples = case(seed, nodes, relations, observed)
    asked = {tuple(triple) for triple in triples.reshape(-1, 3).tolist()}
    asked |= {tuple(triple) for triple in inverse(triples, relations).reshape(-1, 3).tolist()}
    assert listed(hide_triples(graph, triples)) == listed(graph) - asked


def test_pairs_of_a_large_graph_are_found_without_a_table_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, triples = case(0, 8, 3, 60)
    by_table = joins_target(graph, triples)
    monkeypatch.setattr(graphs, "_CELLS", 0)
    assert torch.equal(joins_target(graph, triples), by_table)
    assert 0 < by_table.sum() < len(by_table)


@CASES
@settings(max_examples=30)
def test_no_visible_edge_joins_a_target_pair(seed: int, nodes: int, relations: int, observed: int) -> None:
    graph, _ = case(seed, nodes, relations, observed)
    true = torch.stack((graph.head, graph.relation, graph.tail), -1)[:, None]
    source, _, target = hide_pairs(graph, true).augmented()
    joined = {frozenset(pair) for pair in true[:, 0, ::2].tolist()}
    assert joined.isdisjoint(frozenset(pair) for pair in zip(source.tolist(), target.tolist(), strict=True))


def test_hiding_triples_leaves_parallel_and_reverse_edges() -> None:
    """The difference between the rules: other evidence about the same pair stays."""
    graph = Graph(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor([1, 1, 0]), 2, 2)
    target = torch.tensor([[0, 0, 1]])
    assert listed(hide_triples(graph, target)) == {(0, 1, 1), (1, 0, 0)}
    assert listed(hide_triples(graph, inverse(target, 2))) == {(0, 1, 1), (1, 0, 0)}
    assert listed(hide_pairs(graph, target)) == set()


def test_the_inverse_of_the_inverse_is_the_triple() -> None:
    triples = some_triples(random_graph(torch.Generator().manual_seed(0)), torch.Generator().manual_seed(1), 20)
    assert torch.equal(inverse(inverse(triples, 4), 4), triples)
    assert not torch.equal(inverse(triples, 4), triples)


def test_edges_are_augmented_by_their_inverses() -> None:
    graph = Graph(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([1, 2]), 3, 2)
    assert [part.tolist() for part in graph.augmented()] == [[0, 1, 1, 2], [0, 1, 2, 3], [1, 2, 0, 1]]


def test_pairs_asked_for_are_found_again() -> None:
    rng = torch.Generator().manual_seed(2)
    graph = random_graph(rng)
    triples = some_triples(graph, rng, 10)
    codes, place = asked_pairs(Batch(graph, triples, "train"))
    assert torch.equal(codes, codes.unique())
    head, relation, tail = triples.reshape(-1, 3).unbind(-1)
    assert torch.equal(codes[place], torch.stack((head * 8 + relation, tail * 8 + relation), 1))
