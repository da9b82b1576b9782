"""Training batches where few triples have an answer: who is trained on, who rides along, and that no answer is told by the way."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs.knowledge.graph import Batch, inverse
from stillhouse.workloads.graphs.knowledge.ranking import loss
from stillhouse.workloads.graphs.knowledge.sample import DataSettings, Training, divided
from tests.workloads.graphs.knowledge.graphs import random_graph

RELATIONS = 5


def few(**settings: object) -> Training:
    """On a random graph whose triples all could be asked about."""
    graph = random_graph(torch.Generator().manual_seed(0), 40, RELATIONS, 120)
    observed, asked = torch.stack((graph.head, graph.relation, graph.tail), -1), DataSettings(**settings)
    return Training(asked, graph, observed, *divided(asked, observed))


def drawn(source: Training) -> list[Batch]:
    return list(source.draw(torch.Generator().manual_seed(0)))


def both(triples: Tensor) -> Counter[tuple[int, ...]]:
    return Counter(tuple(triple) for triple in torch.cat((triples, inverse(triples, RELATIONS))).tolist())


def test_a_share_of_each_relation_has_answers_and_the_others_ride_along() -> None:
    source = few(train_limit=0.1, batch_size=8, unlabelled=13)
    counts = torch.bincount(source.observed[:, 1]).tolist()
    assert torch.bincount(source.asked[:, 1]).tolist() == [max(1, round(0.1 * count)) for count in counts]
    assert len(source.asked) + len(source.rest) == len(source.observed)
    batches = drawn(source)
    assert len(batches) == source.length == -(-2 * len(source.rest) // 13)
    seen = {known: Counter[tuple[int, ...]]() for known in (True, False)}
    for batch in batches:
        assert batch.known is not None
        assert int((~batch.known).sum()) == 13
        for known, true in zip(batch.known.tolist(), batch.triples[:, 0].tolist(), strict=True):
            seen[known][tuple(true)] += 1
    assert set(seen[True]) == set(both(source.asked))
    assert set(seen[False]) == set(both(source.rest))


def test_none_of_the_false_answers_is_true_of_the_graph() -> None:
    source = few(train_limit=0.05, batch_size=50, unlabelled=50)
    true = set(both(source.observed))
    for batch in drawn(source):
        assert true.isdisjoint(tuple(triple) for triple in batch.triples[:, 1:].reshape(-1, 3).tolist())


def test_few_answers_without_others_are_a_shorter_pass() -> None:
    source = few(train_limit=0.1, batch_size=8)
    batches = drawn(source)
    assert len(batches) == source.length == -(-2 * len(source.asked) // 8)
    assert all(batch.known is None for batch in batches)
    assert Counter(tuple(true) for batch in batches for true in batch.triples[:, 0].tolist()) == both(source.asked)


@pytest.mark.parametrize("softmax", [False, True])
def test_the_task_does_not_see_who_rides_along(softmax: bool) -> None:
    batch = next(iter(drawn(few(train_limit=0.1, batch_size=8, unlabelled=13, softmax=softmax))))
    assert batch.known is not None
    scores = torch.randn(batch.triples.shape[:2], generator=torch.Generator().manual_seed(1))
    other = torch.where(batch.known[:, None], scores, -scores)
    assert loss(Output(scores, "candidates"), batch) == loss(Output(other, "candidates"), batch)
    known = Batch(batch.graph, batch.triples[batch.known], "train", softmax=softmax)
    assert loss(Output(scores, "candidates"), batch) == loss(Output(scores[batch.known], "candidates"), known)


def test_what_shapes_batches_otherwise_is_refused() -> None:
    for other in ({"group_by_relation": True}, {"supervision_share": 0.1}, {"batches": 3}):
        with pytest.raises(ValidationError, match="unlabelled should be 0 where"):
            DataSettings(unlabelled=4, **other)
