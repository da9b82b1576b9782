"""Ranks and their metrics: bounds, ties, and the values known in closed form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs._shared.ranks import ranks
from stillhouse.workloads.graphs.knowledge.graph import Batch, Graph, Task
from stillhouse.workloads.graphs.knowledge.ranking import loss, score

EMPTY = Graph(*(torch.empty(0, dtype=torch.long) for _ in range(3)), nodes=1, relations=1)


def outputs(scores: Tensor, *tasks: Task) -> Iterator[tuple[Output, Batch]]:
    """The scores once for each task."""
    for task in tasks:
        yield Output(scores, "candidates"), Batch(EMPTY, torch.zeros(*scores.shape, 3, dtype=torch.long), task)


@given(st.lists(st.lists(st.integers(-2, 2), min_size=4, max_size=4), min_size=1, max_size=5))
def test_ranks_are_the_mean_of_best_and_worst(rows: list[list[int]]) -> None:
    for rank, row in zip(ranks(torch.tensor(rows, dtype=torch.float64)).tolist(), rows, strict=True):
        best = 1 + sum(value > row[0] for value in row[1:])
        worst = 1 + sum(value >= row[0] for value in row[1:])
        assert rank == (best + worst) / 2


def test_a_constant_scorer_ranks_26th_of_51() -> None:
    assert ranks(torch.zeros(7, 51)).tolist() == [26] * 7
    assert score(outputs(torch.zeros(7, 51), "mixed"))["mixed_hits@10"] == 0


def test_an_oracle_is_perfect_and_its_opposite_is_last() -> None:
    truth = torch.zeros(5, 51)
    truth[:, 0] = 1
    assert set(score(outputs(truth, "node", "mixed", "relation")).values()) == {1.0}
    assert score(outputs(-truth, "node"))["node_mrr"] == pytest.approx(1 / 51)


def test_a_random_scorer_hits_ten_of_51() -> None:
    scores = torch.rand(20000, 51, generator=torch.Generator().manual_seed(0))
    assert score(outputs(scores, "node"))["node_hits@10"] == pytest.approx(10 / 51, abs=0.01)


def test_nothing_is_won_by_scores_that_are_no_numbers() -> None:
    scores = torch.tensor([[float("nan"), 0.0, 1.0], [float("nan")] * 3, [0.0, float("nan"), -1.0]])
    assert ranks(scores).tolist() == [3, 2, 1]


def test_the_mixed_lists_are_selected_on_and_batches_are_pooled() -> None:
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    metrics = score([*outputs(first, "node", "mixed"), *outputs(second, "mixed")])
    assert list(metrics)[:4] == ["mixed_mrr", "mixed_hits@1", "mixed_hits@3", "mixed_hits@10"]
    assert metrics["mixed_mrr"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert metrics["mixed_hits@1"] == pytest.approx(1 / 3)
    assert metrics["node_mrr"] == 1


def test_the_loss_gives_true_and_false_equal_weight() -> None:
    logits = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    output = Output(logits, "candidates")
    probability = torch.sigmoid(logits.detach())
    expected = (-4 * probability[:, 0].log().sum() - (1 - probability[:, 1:]).log().sum()) / 30
    value = loss(output, next(outputs(logits, "train"))[1])
    assert value.item() == pytest.approx(expected.item())
    flat = loss(Output(torch.zeros(6, 5, requires_grad=True), "candidates"), next(outputs(logits, "train"))[1])
    assert flat.item() == pytest.approx(2 * 4 / 5 * torch.log(torch.tensor(2.0)).item())
