"""What is told of a search that proposes what cannot be, or says of it what is not so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem, Trial
from stillhouse.space.blueprint import Architecture
from stillhouse.space.cost import counts_of
from stillhouse.training import proposed
from tests.searches.toy import problem

HALF = {"left": (0, 1, 2), "right": (3, 4, 5)}


def trial(posed: Problem[Any], **other: Any) -> Trial:
    architecture = Architecture(HALF)
    weights = posed.static(architecture).state_dict()
    found = Trial(architecture, float(posed.cost(counts_of(posed.groups, architecture))), {"score": 1.0}, weights)
    return replace(found, **other)


@pytest.mark.parametrize("cost", [1536.0, 1.0, torch.nan])
def test_a_trial_costs_what_is_counted_whatever_it_says(cost: float):
    posed = problem()
    found = next(proposed.each(posed, [trial(posed, cost=cost)]))
    proposed.require_weights(posed, found)
    assert (found.architecture.kept, found.cost) == (HALF, 1536)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"metrics": {}}, "wanted metrics by name"),
        ({"architecture": Architecture({"left": (0, 1)})}, "wanted kept elements of each of the groups left, right - 'right'"),
        ({"architecture": Architecture(HALF | {"other": (0,)})}, "'other' is wrong or missing"),
        ({"architecture": Architecture(HALF | {"left": ()})}, "wanted 1 kept elements of 'left' at least - got 0"),
        ({"architecture": Architecture(HALF | {"left": (2, 1)})}, "numbers from 0 to 5 that rise"),
        ({"architecture": Architecture(HALF | {"left": (1, 1)})}, "numbers from 0 to 5 that rise"),
        ({"architecture": Architecture(HALF | {"left": (5, 6)})}, "numbers from 0 to 5 that rise"),
    ],
)
def test_a_trial_that_says_what_is_not_so_is_told(other: dict[str, Any], told: str):
    posed = problem()
    with pytest.raises(UserError) as error:
        list(proposed.each(posed, [trial(posed), trial(posed, **other)]))
    assert str(error.value).startswith("trial 2 of the search - ")
    assert told in str(error.value)


@pytest.mark.parametrize("trials", [None, "none of them a trial"])
def test_what_is_no_trial_is_told(trials: object):
    with pytest.raises(UserError, match=r"wanted (trials, one `yield` for each|a Trial)"):
        list(proposed.each(problem(), trials))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda weights: {name: tensor.repeat(1, 2) for name, tensor in weights.items()}, r"`extract\(supernet, architecture\)` cuts them"),
        (lambda weights: {name: tensor * torch.nan for name, tensor in weights.items()}, "wanted finite numbers"),
        (lambda weights: {}, "is in one of them alone"),
    ],
)
def test_weights_that_do_not_fit_are_told(change: Any, told: str):
    posed = problem()
    found = trial(posed)
    assert found.weights is not None
    with pytest.raises(UserError, match=told):
        proposed.require_weights(posed, replace(found, weights=change(found.weights)))
