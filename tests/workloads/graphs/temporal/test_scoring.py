"""Losses and metrics on hand numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.output import Output
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.scoring import loss, score
from tests.workloads.graphs.temporal.graphs import random_batch


def asked(target: list[float], last: list[float], which: list[bool] | None = None, **others: object) -> Batch:
    """One output of each node."""
    batch = random_batch(0, len(target), 2, 1)
    columns = {"target": torch.tensor(target)[:, None], "last": torch.tensor(last)[:, None]}
    return replace(batch, asked=torch.tensor(which or [True] * len(target)), **columns, **others)


def values(*numbers: float) -> Output:
    return Output(torch.tensor(numbers)[:, None], "values")


def classes(target: Tensor) -> Batch:
    return replace(random_batch(0, 3, 2, 1, windows=len(target), classes=4), target=target)


def test_metrics_by_hand() -> None:
    """Units of 10 from 5 on: errors of 5, -10 and 0 raw, those of the last value 10, 10 and 40; scaled targets 1, 3 and 0."""
    unit = torch.tensor([[5.0], [10.0]])
    batch = asked([1.0, 3.0, 0.0, 7.0], [2.0, 2.0, 4.0, 0.0], [True, True, True, False], unit=unit)
    metrics = score([(values(1.5, 2.0, 0.0, 99.0), batch)])
    assert metrics == pytest.approx(
        {"skill": 1 - 5 / 20, "mae": 5.0, "rmse": math.sqrt(125 / 3), "mape_scaled": 100 * (0.5 / 2 + 1 / 4 + 0 / 1) / 3}
    )
    assert next(iter(metrics)) == "skill"


def test_means_are_over_nodes_whatever_their_batches() -> None:
    target, last, predicted = [0.5, 1.0, -2.0, 3.0, 0.0], [0.0, 0.5, -1.0, 4.0, 1.0], [0.25, 1.5, -2.0, 1.0, 0.5]
    whole = score([(values(*predicted), asked(target, last))])
    parts = [(values(*predicted[part]), asked(target[part], last[part])) for part in (slice(1), slice(1, 5))]
    assert score(iter(parts)) == pytest.approx(whole)


def test_negative_targets_count_by_their_size() -> None:
    assert score([(values(-2.0), asked([-3.0], [0.0]))])["mape_scaled"] == pytest.approx(100 * 1 / 4)


def test_logarithms_are_taken_back() -> None:
    """Raw values: target 99, prediction 49, last 9."""
    unit = torch.tensor([[math.log(10)], [2.0]])
    scaled = [(math.log1p(raw) - math.log(10)) / 2 for raw in (99, 49, 9)]
    batch = asked([scaled[0]], [scaled[2]], unit=unit, log=True)
    metrics = score([(values(scaled[1]), batch)])
    assert metrics["mae"] == pytest.approx(50, rel=1e-5)
    assert metrics["rmse"] == pytest.approx(50, rel=1e-5)
    assert metrics["skill"] == pytest.approx(1 - 50 / 90, rel=1e-5)
    assert metrics["mape_scaled"] == pytest.approx(100 * (math.log(100 / 50) / 2) / (scaled[0] + 1), rel=1e-5)


def test_a_perfect_prediction_scores_best_and_the_last_value_nothing() -> None:
    batch = asked([0.5, 1.0, 2.0], [0.0, 3.0, 2.5])
    assert score([(values(0.5, 1.0, 2.0), batch)]) == {"skill": 1.0, "mae": 0.0, "rmse": 0.0, "mape_scaled": 0.0}
    assert score([(values(0.0, 3.0, 2.5), batch)])["skill"] == pytest.approx(0.0)
    assert score([(values(1.0, -1.0, 1.5), batch)])["skill"] == pytest.approx(0.0)
    assert score([(values(9.0, 9.0, 9.0), batch)])["skill"] < 0


def test_a_series_that_stands_still_has_a_finite_skill() -> None:
    batch = asked([1.0], [1.0])
    assert score([(values(1.0), batch)])["skill"] == 1.0
    assert math.isfinite(score([(values(2.0), batch)])["skill"])


@pytest.mark.parametrize(("absolute", "expected"), [(False, (0.25 + 4) / 2), (True, (0.5 + 2) / 2)])
def test_the_loss_of_values_is_over_the_nodes_that_are_asked_about(absolute: bool, expected: float) -> None:
    batch = asked([1.0, 5.0, 3.0], [0.0, 0.0, 0.0], [True, False, True], absolute=absolute)
    predicted = torch.tensor([[1.5], [-7.0], [1.0]], requires_grad=True)
    value = loss(Output(predicted, "values"), batch)
    value.backward()
    assert value.item() == pytest.approx(expected)
    assert predicted.grad is not None
    assert (predicted.grad != 0).flatten().tolist() == [True, False, True]


def test_classes_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 1.0, 0.0]])
    first, second = classes(torch.tensor([0, 1, 2])), classes(torch.tensor([3]))
    outputs = [(Output(logits, "classes"), first), (Output(torch.tensor([[0.0, 0.0, 0.0, 1.0]]), "classes"), second)]
    assert score(iter(outputs)) == {"accuracy": 0.75}
    right = [math.exp(2) / (math.exp(2) + 3), math.exp(1) / (math.exp(1) + math.exp(3) + 2), math.exp(1) / (math.exp(1) + 3)]
    assert loss(*outputs[0]).item() == pytest.approx(-sum(map(math.log, right)) / 3)
