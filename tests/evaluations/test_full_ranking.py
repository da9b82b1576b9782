"""Ranks among everything, against loops over single nodes and relations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stillhouse import registry
from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Pair
from tests.evaluations import ranking
from tests.evaluations.ranking import OBSERVED, RELATIONS, TRUE, VALID, Table

Triple = tuple[int, int, int]


def found(of: Pair) -> dict[str, float]:
    part = registry.evaluation("full_ranking")
    return part.run(of, part.settings(), torch.Generator())


def both(triples: Tensor) -> set[Triple]:
    """With their inverses."""
    turned = [(tail, (relation + RELATIONS) % (2 * RELATIONS), head) for head, relation, tail in triples.tolist()]
    return {*map(tuple, triples.tolist()), *turned}


def naive_rank(model: Table, triple: Triple, task: str, known: set[Triple]) -> float:
    head, relation, tail = triple
    answers = range(RELATIONS) if task == "relation" else sorted({*OBSERVED[:, 0].tolist(), *OBSERVED[:, 2].tolist()})
    rank = 1.0
    for answer in answers:
        rival = (head, answer, tail) if task == "relation" else (head, relation, answer)
        if rival not in known:
            rank += float(model.score[rival] > model.score[triple]) + 0.5 * float(model.score[rival] == model.score[triple])
    return rank


@pytest.mark.parametrize("same", [True, False])
def test_equals_loops_over_single_answers(same: bool) -> None:
    """Triples of the validation are known to be true where it asks about the graph of the test."""
    of = ranking.pair(same=same)
    known = both(torch.cat([OBSERVED, *TRUE.values(), *([VALID] if same else [])]))
    metrics = found(of)
    for who, model in of.models.items():
        assert isinstance(model, Table)
        for task in ("node", "relation"):
            ranks = [naive_rank(model, tuple(triple), task, known) for triple in TRUE[task].tolist()]  # type: ignore[arg-type]
            assert metrics[f"{who}_full_{task}_mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks))
            for most in (1, 3, 10):
                assert metrics[f"{who}_full_{task}_hits@{most}"] == sum(rank <= most for rank in ranks) / len(ranks)


def test_rivals_are_counted_without_what_is_known() -> None:
    """Of seven nodes (0, 0, ?) knows five, 1 to 5, the inverse (?, 0, 5) three, 0, 3 and 4, and (1, 1, ?) three, 3, 5 and 6."""
    assert found(ranking.pair())["full_node_rivals"] == (2 + 2 + 4 + 4) / 4
    assert found(ranking.pair(same=False))["full_node_rivals"] == (3 + 3 + 5 + 5) / 4
    assert found(ranking.pair())["full_relation_rivals"] == (1 + 1 + 2) / 3


def test_the_length_of_the_lists_changes_no_rank_and_is_that_of_the_test() -> None:
    short, long = ranking.pair(negatives=1), ranking.pair(negatives=20)
    assert found(short) == found(long)
    assert isinstance(short.teacher, Table)
    assert isinstance(long.teacher, Table)
    assert {asked.shape[1] for asked in short.teacher.asked} == {2}
    assert {asked.shape[1] for asked in long.teacher.asked} == {1 + 7, 1 + 4}


def test_queries_of_a_batch_have_their_rivals_in_orders_of_their_own() -> None:
    """Else the rivals lose more edges than the true answer, to a model that hides what a batch asks about."""
    of = ranking.pair(negatives=1)
    found(of)
    assert isinstance(of.teacher, Table)
    first = torch.stack([asked[:, 1, 2] for asked in of.teacher.asked if (asked[:, 0] == TRUE["node"][2:]).all()])
    rivals = torch.where(first == TRUE["node"][2:, 2], -1, first)
    assert sorted(set(rivals[:, 0].tolist()) - {-1}) == [1, 2, 5, 6]
    assert sorted(set(rivals[:, 1].tolist()) - {-1}) == [0, 1, 2, 4]
    both = (rivals >= 0).all(1)
    assert (rivals[both, 0] != rivals[both, 1]).any()


def test_what_is_no_number_is_ranked_last() -> None:
    pairs = ranking.pair(), ranking.pair()
    for of, worst in zip(pairs, (torch.nan, -100.0), strict=True):
        assert isinstance(of.teacher, Table)
        of.teacher.score.data[0, 0, 3] = worst
    assert found(pairs[0]) == found(pairs[1]) != found(ranking.pair())


def test_a_test_that_asks_about_no_graph_is_refused() -> None:
    of = ranking.pair()
    mixed = Batches(lambda rng: (batch for batch in of.test.draw(rng) if batch.task == "mixed"), 1)
    for batches in (mixed, Batches(lambda rng: iter([torch.eye(2)]), 1)):
        with pytest.raises(UserError, match=r"^full_ranking wants a test that asks about nodes or relations of a graph"):
            found(replace(of, test=batches))
