from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches._rank import RankSettings, ranked, weight_gradients
from stillhouse.training.fit import FitSettings
from tests.searches import toy


def width(problem: Problem[Any], model: nn.Module, batches: list[Any]) -> float:
    """Ranks by the number of inputs of the group `left` in the toy's linear map, least first."""
    return -float((model.kept < 6).sum())


def run(log: list[Any], score: Any = width, **settings: Any) -> list[Trial]:
    torch.manual_seed(0)
    problem = toy.problem(log=log.append)
    chosen = RankSettings.model_validate({"candidates": 5, "band": 0.1} | settings)
    return list(ranked(problem, chosen, score, torch.Generator().manual_seed(0)))


def test_the_highest_go_on_in_their_order() -> None:
    log: list[Any] = []
    trials = run(log, finalists=3)
    assert [len(trial.architecture.kept["left"]) for trial in trials] == [1, 2, 3]
    assert [record["score"] for record in log if "finalist" in record] == [-1, -2, -3]
    assert sorted(record["score"] for record in log if "draw" in record) == [-5, -4, -3, -2, -1]


def test_candidates_differ_and_are_as_many_as_there_are() -> None:
    log: list[Any] = []
    run(log, candidates=40)
    assert len([record for record in log if "draw" in record]) == 5


def test_every_candidate_is_asked_about_the_same_batches() -> None:
    seen: list[list[int]] = []

    def remember(problem: Problem[Any], model: nn.Module, batches: list[Any]) -> float:
        seen.append([id(batch) for batch in batches])
        return 0.0

    run([], remember, batches=11)  # of the eight batches of a pass
    assert len(seen) == 5
    assert {len(batches) for batches in seen} == {11}
    assert all(batches == seen[0] for batches in seen)


def test_epochs_are_shared_by_the_finalists() -> None:
    log: list[Any] = []
    run(log, finalists=2, fit=FitSettings(epochs=6, learning_rate=0.02))
    assert [record["epochs"] for record in log if "epoch" in record] == [3] * 6


def test_settings_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValidationError, match="finalists should be at most as many as candidates: got 6 and 5"):
        run([], finalists=6)
    with pytest.raises(ValidationError, match=r"fit\.epochs should be a multiple of finalists.*got 4 and 3"):
        run([], finalists=3, fit={"epochs": 4, "learning_rate": 0.1})


def test_gradients_are_of_weights_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    model.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))
    model.register_parameter("heads_bias", nn.Parameter(torch.ones(2, 2)))
    problem = toy.problem()
    batch = next(problem.data.train.draw(torch.Generator().manual_seed(0)))
    found = weight_gradients(problem, model, batch)
    assert sorted(tuple(gradient.shape) for gradient in found) == [(1, 3), (2, 2), (3, 12)]
    model.zero_grad()
    problem.loss(problem.apply(model, batch), batch).backward()
    torch.testing.assert_close(found[-1], model[2].weight.grad)
    assert all(not gradient.any() for gradient in found if gradient.shape == (2, 2))
