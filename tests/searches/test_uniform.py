from __future__ import annotations

from typing import Any

import pytest
import torch

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches import uniform
from stillhouse.training.fit import FitSettings
from tests.searches import toy

TOY = {"fit": None}
"""Settings for the toy problems of the family's tests."""


def run(problem: Problem[Any], **settings: Any) -> list[Trial]:
    return list(uniform.run(problem, uniform.UniformSettings(**settings), torch.Generator()))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_every_group_keeps_the_same_share(share: float) -> None:
    """To within the one element that uses up the budget."""
    (trial,) = run(toy.problem(toy.UNEVEN, share=share))
    left, right = trial.architecture.counts().values()
    assert left + right == 12 * share
    assert abs(left - right) <= 1


def test_depth_stays_as_it_is() -> None:
    (trial,) = run(toy.deep_problem(0.4))
    assert trial.architecture.kept["blocks"] == (0, 1, 2)


def test_the_heaviest_elements_stay_with_their_weights() -> None:
    problem = toy.problem()
    (trial,) = run(problem)
    assert trial.architecture == toy.best(toy.EVEN)
    weight = problem.supernet().linear.weight[0]
    torch.testing.assert_close(trial.weights["linear.weight"][0], weight[[1, 3, 5, 6, 9, 10]].detach())


def test_trains_if_asked_to() -> None:
    (before,) = run(toy.problem())
    (after,) = run(toy.problem(), fit=FitSettings(epochs=5, learning_rate=0.02))
    assert after.metrics["explained"] > before.metrics["explained"]
