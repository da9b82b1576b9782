from __future__ import annotations

from typing import Any

import torch
from torch import nn

from stillhouse.searches._rank import weight_gradients
from stillhouse.searches.gradsign import score
from tests.searches import toy

TOY = {"candidates": 5, "finalists": 3, "band": 0.1}
"""Settings for the toy problems of the family's tests."""


def samples(count: int) -> list[Any]:
    """Batches of one."""
    rows = [part for batch in toy.deep_problem().data.train.draw(torch.Generator()) for part in zip(*batch, strict=True)]
    return [tuple(value[None] for value in row) for row in rows[:count]]


def test_it_is_the_formula_weight_by_weight() -> None:
    torch.manual_seed(0)
    problem = toy.deep_problem()
    model = problem.supernet()
    gradients = [torch.cat([part.flatten() for part in weight_gradients(problem, model.eval(), sample)]) for sample in samples(7)]
    wanted = 0.0
    for weight in zip(*(gradient.tolist() for gradient in gradients), strict=True):
        wanted += abs(sum((value > 0) - (value < 0) for value in weight))
    assert score(problem, model, samples(7)) == wanted
    assert 0 < wanted < 7 * len(gradients[0])


def test_samples_that_agree_score_highest() -> None:
    """n times the number of weights whose gradient is not 0."""
    torch.manual_seed(0)
    problem, model = toy.problem(), nn.Sequential(nn.Linear(12, 1), nn.Flatten(0))
    row = next(problem.data.train.draw(torch.Generator().manual_seed(0)))
    one = (row[0][:1], row[1][:1])
    assert score(problem, model, [one] * 5) == 5 * 12
    opposite = (one[0], 2 * model(one[0]).detach() - one[1])
    assert score(problem, model, [one, opposite]) == 0


def test_the_scale_of_a_loss_does_not_matter() -> None:
    torch.manual_seed(0)
    problem, model = toy.problem(), nn.Sequential(nn.Linear(12, 1), nn.Flatten(0))
    row = next(problem.data.train.draw(torch.Generator().manual_seed(0)))
    near, far = [(values[:, None].T, target[None]) for values, target in zip(*row, strict=True)][:6], []
    far = [(values, model(values).detach() + 100 * (target - model(values).detach())) for values, target in near]
    assert score(problem, model, near) == score(problem, model, far)


def test_norms_are_asked_in_evaluation_mode() -> None:
    """One sample has no deviation, and training mode would refuse it."""
    torch.manual_seed(0)
    problem = toy.problem()
    model = nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
    row = next(problem.data.train.draw(torch.Generator().manual_seed(0)))
    assert score(problem, model.train(), [(row[0][:1], row[1][:1]), (row[0][1:2], row[1][1:2])]) > 0
