from __future__ import annotations

import torch

from stillhouse.searches import magnitude
from stillhouse.searches._candidate import magnitudes
from stillhouse.space.blueprint import full, hard_masks
from tests.searches import toy

TOY = {"fit": None, "steps": 2}
"""Settings for the toy problems of the family's tests."""


def test_small_weights_go_in_all_groups_together() -> None:
    """Each over the mean of its group, so by hand: of six inputs those with the greatest shares of their group."""
    problem = toy.problem(toy.HEAVY, inherited=True)
    weight = problem.supernet().linear.weight[0].detach().abs()
    shares = torch.cat([part / part.mean() for part in weight.split(6)])
    (trial,) = magnitude.run(problem, magnitude.MagnitudeSettings(), torch.Generator())
    kept = [*trial.architecture.kept["left"], *(6 + index for index in trial.architecture.kept["right"])]
    assert kept == sorted(shares.topk(6).indices.tolist())


def test_weights_of_dropped_neighbours_do_not_count() -> None:
    problem = toy.deep_problem()
    torch.manual_seed(0)
    model = problem.supernet()
    masks = hard_masks(problem.groups, full(problem.groups), torch.ones(()))
    whole = magnitude.score(problem, model, masks, torch.Generator())
    torch.testing.assert_close(whole, magnitudes(model, problem.groups))
    name = next(group.name for group in problem.groups if group.kind == "width")
    masks[name][0] = 0
    left = magnitude.score(problem, model, masks, torch.Generator())
    assert left[name][0] == 0
    assert all((left[other] <= whole[other]).all() for other in whole)
    assert any((left[other] < whole[other]).any() for other in whole if other != name)
