"""Training batches: what is true, what is false, what is observed; and the fixed lists behind them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, inverse
from stillhouse.workloads.graphs.knowledge.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.knowledge.ranking import loss
from stillhouse.workloads.graphs.knowledge.sample import DataSettings, Training, load
from tests.workloads.graphs.knowledge.graphs import random_graph

NODES, RELATIONS = 40, 5


def training(seed: int = 0, **settings: object) -> Training:
    """On a random graph whose triples are all asked about."""
    graph = random_graph(torch.Generator().manual_seed(seed), NODES, RELATIONS, 120)
    return Training(DataSettings(**settings), graph, observed(graph), observed(graph))


def observed(graph: Graph) -> Tensor:
    return torch.stack((graph.head, graph.relation, graph.tail), -1)


def listed(triples: Tensor) -> list[tuple[int, ...]]:
    return [tuple(triple) for triple in triples.reshape(-1, 3).tolist()]


def draw(source: Training, seed: int = 0) -> list[Batch]:
    return list(source.draw(torch.Generator().manual_seed(seed)))


@given(st.integers(0, 2**31), st.integers(1, 300), st.integers(0, 3), st.integers(0, 3), st.booleans(), st.sampled_from([None, 0.1, 0.5]))
def test_every_true_triple_comes_once_with_false_ones(
    seed: int, size: int, tails: int, relations: int, group: bool, share: float | None
) -> None:
    source = training(
        seed, batch_size=size, tail_negatives=tails, relation_negatives=relations, group_by_relation=group, supervision_share=share
    )
    batches, known = draw(source, seed), source.observed
    every = Counter(listed(torch.cat((known, inverse(known, RELATIONS)))))
    true = Counter(triple for batch in batches for triple in listed(batch.triples[:, 0]))
    assert len(batches) == source.length
    assert true == every if share is None else set(true.values()) == {1} and not true - every
    for batch in batches:
        assert batch.task == "train"
        assert batch.triples.shape[1:] == (1 + tails + relations, 3)
        assert len(batch.triples) <= size
        assert len(batch.triples[:, 0, 1].unique()) == 1 or not group
        false = listed(batch.triples[:, 1:])
        assert every.keys().isdisjoint(false)
        assert (batch.triples[:, 1 : 1 + tails, :2] == batch.triples[:, :1, :2]).all()
        assert (batch.triples[:, 1 + tails :, ::2] == batch.triples[:, :1, ::2]).all()


def test_what_is_asked_is_not_observed_when_a_share_is_set_apart() -> None:
    source = training(supervision_share=0.25)
    graphs = {id(batch.graph): batch.graph for batch in draw(source)}
    assert len(graphs) == 1
    left = set(listed(observed(next(iter(graphs.values())))))
    asked = {triple for batch in draw(source) for triple in listed(batch.triples[:, 0])}
    forward = {triple for triple in asked if triple[1] < RELATIONS}
    assert left | forward == set(listed(source.observed))
    assert left.isdisjoint(forward)
    assert len(asked) == 2 * len(forward)
    assert len(forward) == pytest.approx(30, abs=RELATIONS)
    other = {triple for batch in draw(source, seed=1) for triple in listed(batch.triples[:, 0])}
    assert other != asked


def test_the_same_seed_draws_the_same_pass_and_another_seed_another() -> None:
    source = training(batch_size=50)
    first, again, other = draw(source), draw(source), draw(source, seed=1)
    assert all(torch.equal(one.triples, two.triples) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one.triples, two.triples) for one, two in zip(first, other, strict=True))


def test_false_answers_are_drawn_from_everything() -> None:
    source = training(batch_size=1000, tail_negatives=20, relation_negatives=20)
    (batch,) = draw(source)
    assert set(batch.triples[:, 1:21, 2].flatten().tolist()) == set(range(NODES))
    assert set(batch.triples[:, 21:, 1].flatten().tolist()) == set(range(2 * RELATIONS))


def test_a_pass_can_be_cut_short() -> None:
    source = training(batch_size=20, batches=3)
    assert source.length == len(draw(source)) == 3
    assert training(batch_size=1000, batches=3).length == 1


def test_where_nothing_is_false_the_draw_ends() -> None:
    full = torch.cartesian_prod(torch.arange(2), torch.arange(1), torch.arange(2))
    graph = Graph(*full.T.contiguous(), nodes=2, relations=1)
    (batch,) = draw(Training(DataSettings(), graph, full, full))
    assert batch.triples.shape == (8, 5, 3)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    (tmp_path / "diagram.json").write_text(json.dumps({"generator": "family_diagram_2", "depth": 4}))
    prepare(PrepareSettings(), tmp_path / "diagram.json", tmp_path / "prepared", torch.Generator().manual_seed(0))
    return tmp_path / "prepared"


def test_the_test_takes_an_explicit_argument(prepared: Path) -> None:
    data = load(DataSettings(evaluation_batch_size=10), prepared)
    assert data.test is None
    assert data.sizes == {"nodes": 31, "relations": 2}
    valid = list(data.valid.draw(torch.Generator()))
    assert {batch.task for batch in valid} == {"mixed"}
    assert len(valid) == data.valid.length == 2
    test = load(DataSettings(evaluation_batch_size=100), prepared, test=True).test
    assert test is not None
    assert [(batch.task, tuple(batch.triples.shape), batch.graph.relations) for batch in test.draw(torch.Generator())] == [
        (task, (56, 51, 3), 4) for task in ("mixed", "node", "relation")
    ]


def test_by_default_a_batch_of_lists_leaves_most_of_the_graph_to_see(prepared: Path) -> None:
    """31 nodes have 480 pairs, of which a list joins up to 51."""
    for batch in load(DataSettings(), prepared).valid.draw(torch.Generator()):
        assert len(batch.triples) == 1
    test = load(DataSettings(), prepared, test=True).test
    assert test is not None
    assert {len(batch.triples) for batch in test.draw(torch.Generator())} == {1}


def test_queries_that_are_not_observed_are_trained_on(prepared: Path) -> None:
    data = load(DataSettings(), prepared)
    (batch,) = data.train.draw(torch.Generator().manual_seed(0))
    assert len(batch.triples) == 2 * 14
    forward = {triple for triple in listed(batch.triples[:, 0]) if triple[1] < 2}
    assert forward.isdisjoint(listed(observed(batch.graph)))


def test_a_node_without_edges_can_be_the_last_false_tail() -> None:
    graphs = set()
    for batch in draw(training(batch_size=8, isolated_negative=True, tail_negatives=3)):
        assert batch.graph.nodes == NODES + 1
        assert (batch.triples[:, 3, 2] == NODES).all()
        assert (batch.triples[:, :3, 2] < NODES).all()
        graphs.add(id(batch.graph))
    assert len(graphs) == 1


def test_dangling_triples_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a r b\nb r c\nc s a\nd r a\n")
    for split in ("valid", "test"):
        (tmp_path / f"{split}.txt").write_text("a r c\n")
    prepare(PrepareSettings(negatives=2), tmp_path, tmp_path / "prepared", torch.Generator().manual_seed(0))
    sizes = {
        connected: sum(len(batch.triples) for batch in data.train.draw(torch.Generator().manual_seed(0)))
        for connected in (False, True)
        for data in [load(DataSettings(connected=connected), tmp_path / "prepared")]
    }
    assert sizes == {False: 8, True: 6}


def test_the_loss_can_be_a_softmax_over_the_candidates() -> None:
    batch = draw(training(softmax=True))[0]
    logits = torch.randn(batch.triples.shape[:2])
    wanted = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
    torch.testing.assert_close(loss(Output(logits, "candidates"), batch), wanted)
