"""Candidate lists: nothing true among the false, everything false within reach, repeats only where there is no choice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.knowledge import candidates as module
from stillhouse.workloads.graphs.knowledge.candidates import candidate_lists
from stillhouse.workloads.graphs.knowledge.graph import inverse
from tests.workloads.graphs.knowledge.graphs import random_graph


def drawn(triples: Tensor, known: Tensor, pool: Tensor, relations: int, negatives: int = 50, seed: int = 0) -> dict[str, Tensor]:
    """All lists by task."""
    return dict(candidate_lists(triples, known, pool, relations, negatives, torch.Generator().manual_seed(seed)))


def known_of(nodes: int, relations: int, number: int, seed: int = 0) -> Tensor:
    """Random triples with their inverses."""
    graph = random_graph(torch.Generator().manual_seed(seed), nodes, relations, number)
    triples = torch.stack((graph.head, graph.relation, graph.tail), -1)
    return torch.cat((triples, inverse(triples, relations)))


@given(st.integers(0, 2**31), st.integers(2, 30), st.integers(2, 6), st.integers(2, 12), st.booleans())
def test_false_ones_are_false_and_differ_where_they_can(seed: int, nodes: int, relations: int, negatives: int, both: bool) -> None:
    known = known_of(nodes, relations, min(20, nodes * relations), seed)
    true = {tuple(triple) for triple in known.tolist()}
    asked = known[: len(known) if both else len(known) // 2][:5]
    if not (asked[:, 1] < relations).any():
        return
    for task, lists in drawn(asked, known, torch.arange(nodes), relations, negatives, seed).items():
        parts = {"node": (negatives, 0), "relation": (0, negatives), "mixed": (negatives * 24 // 50, negatives - negatives * 24 // 50)}
        tails, kinds = parts[task]
        for row in lists.tolist():
            head, kind, tail = row[0]
            assert all((one[0], one[1]) == (head, kind) for one in row[1 : 1 + tails])
            assert all((one[0], one[2]) == (head, tail) for one in row[1 + tails :])
            assert len(row) == 1 + tails + kinds == 1 + negatives
            reach = range(relations if task == "relation" else 2 * relations)
            choices = {
                (tails, 0): [(head, kind, node) for node in range(nodes)],
                (kinds, 1): [(head, other, tail) for other in reach],
            }
            for (number, which), options in choices.items():
                found = [tuple(one) for one in (row[1 + tails :] if which else row[1 : 1 + tails])]
                free = [option for option in options if option not in true] or [option for option in options if option != tuple(row[0])]
                assert set(found) <= set(free)
                assert len(set(found)) == number or len(free) < number


def test_every_free_candidate_is_drawn_the_last_one_too() -> None:
    known = torch.tensor([[0, 0, 1], [1, 2, 0]])
    few = drawn(known[:1], known, torch.arange(40), 2, negatives=200)["node"][0, 1:, 2]
    assert set(few.tolist()) == set(range(40)) - {1}
    many = torch.cat([drawn(known[:1], known, torch.arange(60), 2, seed=seed)["node"][0, 1:, 2] for seed in range(30)])
    assert set(many.tolist()) == set(range(60)) - {1}


def test_each_free_candidate_is_as_likely() -> None:
    known = torch.tensor([[0, 0, 1], [1, 2, 0]])
    counts = torch.zeros(8)
    for seed in range(400):
        counts += torch.bincount(drawn(known[:1], known, torch.arange(8), 2, negatives=3, seed=seed)["node"][0, 1:, 2], minlength=8)
    assert counts[1] == 0
    assert ((counts[[0, 2, 3, 4, 5, 6, 7]] - 1200 / 7).abs() < 5 * (1200 / 7) ** 0.5).all()


def test_only_nodes_of_the_pool_are_drawn() -> None:
    known = known_of(30, 3, 20)
    pool = torch.arange(0, 30, 3)
    lists = drawn(known[:20], known, pool, 3, negatives=6)
    assert torch.isin(lists["node"][:, 1:, 2], pool).all()
    assert lists["relation"][..., 1].max() < 3 <= lists["mixed"][..., 1].max()


def test_lists_may_be_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_of(30, 3, 20)
    monkeypatch.setattr(module, "_CELLS", 70)
    lists = drawn(known[:20], known, torch.arange(30), 3, negatives=6)
    assert lists["node"].shape == (20, 7, 3)
    assert torch.equal(lists["node"][:, 0], known[:20])


def test_with_a_single_relation_there_is_no_other() -> None:
    known = known_of(5, 1, 4)
    with pytest.raises(UserError, match="wanted at least 2 possible answers to draw false ones from - got 1"):
        drawn(known[:4], known, torch.arange(5), 1)
