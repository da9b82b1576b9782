from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches import prefix
from stillhouse.space.blueprint import hard_masks, masked
from tests.searches import toy

TOY: dict[str, Any] = {"candidates": 12}
TRUTH: toy.Truth = {"left": (2, -1.5, 1.8, 1.2, 0, 0), "right": (-2, 1.6, 0, 0, 0, 0)}
"""The first inputs are the useful ones, as in a network that was trained for it, and more in one group than in the other."""
PROBLEM = partial(toy.problem, TRUTH)


def run(problem: Problem[Any], **settings: Any) -> list[Trial]:
    return list(prefix.run(problem, prefix.PrefixSettings(**settings), torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_first_elements_and_blocks_stay(share: float) -> None:
    torch.manual_seed(0)
    found = run(toy.deep_problem(share), candidates=6)
    assert len({trial.architecture.to_json() for trial in found}) >= 4
    for trial in found:
        assert all(kept == tuple(range(len(kept))) for kept in trial.architecture.kept.values())


def test_smaller_budgets_keep_a_part_of_what_larger_ones_keep() -> None:
    shares = (0.2, 0.35, 0.5, 0.8, 1.0)
    kept = [run(toy.problem(TRUTH, share=share))[0].architecture.kept for share in shares]
    for less, more in pairwise(kept):
        assert all(set(less[name]) <= set(more[name]) for name in less)


def test_the_first_candidate_shrinks_all_alike_at_full_depth() -> None:
    (trial,) = run(toy.deep_problem(0.4))
    assert trial.architecture.kept["blocks"] == (0, 1, 2)
    (trial,) = run(toy.problem(TRUTH))
    assert trial.architecture.counts() == {"left": 3, "right": 3}


def test_the_whole_network_is_handed_on_as_it_is() -> None:
    problem = toy.problem(TRUTH, share=1.0)
    (trial,) = run(problem)
    assert trial.weights is not None
    assert torch.equal(trial.weights["linear.weight"], problem.supernet().state_dict()["linear.weight"])


def test_what_is_cut_answers_as_the_network_under_masks() -> None:
    problem = toy.problem(TRUTH, share=0.35)
    (trial,) = run(problem)
    whole, cut = problem.supernet(), problem.static(trial.architecture)
    assert trial.weights is not None
    cut.load_state_dict(trial.weights)
    values = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    with masked(whole, hard_masks(problem.groups, trial.architecture, values)):
        torch.testing.assert_close(cut(values), whole(values))
