from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches import taylor
from stillhouse.searches._rounding import Rounding
from stillhouse.searches._shrink import dropped
from stillhouse.space.blueprint import Group, full, hard_masks
from tests.searches import toy

TOY = {"steps": 3, "batches": 8}
"""Settings for the toy problems of the family's tests."""


def run(problem: Problem[Any], **settings: Any) -> list[Trial]:
    return list(taylor.run(problem, taylor.TaylorSettings(**settings), torch.Generator().manual_seed(0)))


def test_importance_is_the_formula_batch_by_batch() -> None:
    """Of a linear map with a squared error, dL/dmask = 2 w mean(x (prediction - y))."""
    problem = toy.problem()
    model = problem.supernet()
    masks = hard_masks(problem.groups, full(problem.groups), torch.ones(()))
    given = list(problem.data.train.draw(torch.Generator().manual_seed(0)))[:3]
    wanted = torch.zeros(12)
    with torch.no_grad():
        for values, target in given:
            wanted += (2 * model.linear.weight[0] * (values * (model(values) - target)[:, None]).mean(0)).square()
    found = taylor.squared_gradients(problem, model, masks, given)
    torch.testing.assert_close(torch.cat([found["left"], found["right"]]), wanted)


def test_scores_count_over_the_mean_of_their_group() -> None:
    """By hand: 1 of (9, 1, 2) and 0.1 of (0.1, 0.3, 0.2) are a quarter and a half of the mean, so the first goes first."""
    groups = (Group("loud", 3), Group("quiet", 3))
    scores = {"loud": torch.tensor([9.0, 1, 2]), "quiet": torch.tensor([0.1, 0.3, 0.2])}
    price = Rounding(groups, lambda counts: counts["loud"] + counts["quiet"], budget=5)
    assert dropped(price, full(groups), scores).kept == {"loud": (0, 2), "quiet": (0, 1, 2)}
    assert dropped(replace(price, budget=3), full(groups), scores).kept == {"loud": (0,), "quiet": (1, 2)}


def test_depth_stays_as_it_is() -> None:
    (trial,) = run(toy.deep_problem(0.4), steps=2)
    assert trial.architecture.kept["blocks"] == (0, 1, 2)


def test_the_cost_falls_by_equal_factors() -> None:
    records: list[Any] = []
    run(toy.problem(share=0.25, log=records.append), steps=2)
    assert [record["cost"] for record in records if "step" in record] == [1536, 768]


def test_epochs_are_shared_by_the_steps() -> None:
    records: list[Any] = []
    run(toy.problem(log=records.append), steps=2, fit={"epochs": 4, "learning_rate": 0.01})
    assert [record["epoch"] for record in records if "epoch" in record] == [1, 2, 1, 2]
    with pytest.raises(ValidationError, match="multiple of steps"):
        taylor.TaylorSettings(steps=3, fit={"epochs": 4, "learning_rate": 0.01})
