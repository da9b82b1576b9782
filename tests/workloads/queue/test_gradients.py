"""Gradients of the steady state: the oracle against closed forms, the estimator against the oracle, and their rivals' bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.queue.gradients import (
    Exact,
    Infinity,
    Truncated,
    Unrolled,
    draw_terms,
    steady_state,
    stopped_sum,
    stopping_probability,
)
from stillhouse.workloads.queue.solve import Solver
from stillhouse.workloads.queue.spectrum import second_modulus
from stillhouse.workloads.queue.walk import Walk, births, deaths
from tests.workloads.queue.chains import queue, random_walk

DERIVATIVES = {0: 0.02079924, 1: 0.00083158, 2: -0.00475927, 19: -1.38236870e-06}
"""The derivative of pi by mu at lambda 13, mu 25, K 20."""


def by_mu(method: Any, state: int, load: float = 13.0, dense: bool | None = None) -> float:
    """d pi_state / d mu of M/M/1/K."""
    mu = torch.tensor([25.0], dtype=torch.float64, requires_grad=True)
    walk = queue([load], mu)
    steady_state(walk.rates, walk.transitions, method, dense=dense)[0, state].backward()
    assert mu.grad is not None
    return mu.grad.item()


def by_rates(method: Any, walk: Walk, weights: Tensor) -> Tensor:
    rates = walk.rates.detach().clone().requires_grad_()
    state = steady_state(rates, walk.transitions, method, dense=walk.dense)
    (state * weights).sum().backward()
    assert rates.grad is not None
    return rates.grad


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(("state", "expected"), DERIVATIVES.items())
def test_the_exact_gradient_is_the_closed_form(state: int, expected: float, dense: bool) -> None:
    assert abs(by_mu(Exact(), state, dense=dense) - expected) < 1e-8


@pytest.mark.parametrize("seed", range(5))
def test_the_exact_gradient_agrees_with_finite_differences(seed: int) -> None:
    walk = random_walk(seed, 6)
    rates = walk.rates.requires_grad_()
    assert torch.autograd.gradcheck(lambda rates: steady_state(rates, walk.transitions, Exact()), (rates,), atol=1e-7)


def test_the_unrolled_gradient_is_that_of_its_own_state() -> None:
    """Except by way of gamma, which is a constant: so only relative changes of rates that leave the busiest state alone are checked."""
    walk = queue([13.0], [25.0], states=5)
    direction = torch.zeros_like(walk.rates)
    direction[0, 0] = 1  # the birth in state 0, which is not the busiest
    states = [steady_state(walk.rates + step * direction, walk.transitions, Unrolled(ticks=7)) for step in (1e-5, -1e-5)]
    slope = (states[0] - states[1])[0, 2] / 2e-5
    weights = torch.zeros(1, 5, dtype=torch.float64)
    weights[0, 2] = 1
    assert abs(by_rates(Unrolled(ticks=7), walk, weights)[0, 0] - slope) < 1e-9


def draws(stop: float, number: int, sums: Callable[..., Tensor] = stopped_sum) -> Tensor:
    """Independent estimates of the derivative of a linear loss by the three rates of a walk, (draws, 3).

    As all are of one walk, the sum for each number of terms is made once, and looked up by the numbers that are drawn.
    """
    torch.manual_seed(0)
    terms = draw_terms(torch.full((number,), stop, dtype=torch.float64)).long()
    walk, most = queue([13.0], [16.0, 8.0, 4.0]), int(terms.max())
    steady, value = Solver(walk).stationary(), torch.zeros(1, 20, dtype=torch.float64)
    value[0, 0], value[0, 3] = 1.0, -2.0
    centred = value - (steady * value).sum()
    every = Walk(walk.transitions, walk.rates.expand(most, -1))
    stops = torch.full((most,), stop, dtype=torch.float64)
    found = walk.gradient(steady, sums(every, centred.expand(most, -1), stops, torch.arange(1, most + 1)))
    kinds = walk.transitions.source - walk.transitions.target
    return torch.stack([found[:, kinds == jump].sum(1) for jump in (1, 2, 3)], 1)[terms - 1]


def truth() -> Tensor:
    rates = torch.tensor([16.0, 8.0, 4.0], dtype=torch.float64, requires_grad=True)
    walk = queue([13.0], rates)
    steady = steady_state(walk.rates, walk.transitions, Exact())
    (steady[0, 0] - 2 * steady[0, 3]).backward()
    assert rates.grad is not None
    return rates.grad


def too_heavy(walk: Walk, value: Tensor, stop: Tensor, terms: Tensor) -> Tensor:
    """The slip by one: term s weighs (1 - stop)^-(s+1)."""
    return stopped_sum(walk, value, stop, terms) / (1 - stop).unsqueeze(-1)


def deviations(sample: Tensor) -> Tensor:
    """From the truth, in standard errors."""
    return (sample.mean(0) - truth()) / (sample.std(0) / len(sample) ** 0.5)


@pytest.mark.parametrize("stop", [0.05, 0.02])
def test_the_mean_of_many_draws_is_the_exact_gradient(stop: float) -> None:
    assert deviations(draws(stop, 100_000)).abs().max() < 4


def test_a_slip_by_one_in_the_weights_is_seen() -> None:
    sample = draws(0.05, 100_000, too_heavy)
    assert deviations(sample).abs().min() > 4
    assert (sample.mean(0) / truth() - 1 / 0.95).abs().max() < 0.02


@pytest.mark.parametrize("stop", [0.05, 0.02])
def test_the_expectation_over_all_stops_is_the_exact_gradient(stop: float) -> None:
    """Partial sums weighted by the probability of their number of terms, which is followed until nothing is left of it."""
    most = int(25 / stop)
    walk = queue([13.0], [25.0])
    steady = Solver(walk).stationary()
    value = torch.zeros(1, 20, dtype=torch.float64)
    value[0, 0] = 1
    centred = value - steady[:, :1]
    every = Walk(walk.transitions, walk.rates.expand(most, -1))
    number = torch.arange(1, most + 1, dtype=torch.float64)
    stops = torch.full((most,), stop, dtype=torch.float64)
    sums = stopped_sum(every, centred.expand(most, -1), stops, number)
    mean = ((stop * (1 - stop) ** (number - 1)).unsqueeze(-1) * sums).sum(0, keepdim=True)
    difference = walk.gradient(steady, mean) - walk.gradient(steady, Solver(walk).future(steady, centred))
    assert difference.abs().max() < 1e-9


def test_the_number_of_terms_is_geometric() -> None:
    torch.manual_seed(0)
    terms = draw_terms(torch.full((200_000,), 0.1, dtype=torch.float64))
    assert terms.min() == 1
    for most in (1, 2, 5, 20):
        assert abs((terms > most).double().mean().item() - 0.9**most) < 0.004


def test_the_variance_grows_with_the_stopping_probability() -> None:
    spread = torch.stack([draws(stop, 100_000).std(0) for stop in (0.02, 0.05, 0.1)])
    assert (spread[1:] > spread[:-1]).all()


def test_infinite_variance_is_refused_and_half_of_the_limit_is_the_default() -> None:
    modulus = torch.tensor([0.9, 0.97], dtype=torch.float64)
    with pytest.raises(UserError, match=r"below 1 - \|lambda_2\|\^2 = 0\.0591, got 0\.1, at which its gradient has infinite variance"):
        stopping_probability(0.1, modulus)
    assert torch.allclose(stopping_probability(None, modulus), torch.tensor([0.095, 0.02955], dtype=torch.float64))
    assert stopping_probability(0.05, modulus).tolist() == [0.05, 0.05]
    walk = queue([13.0], [25.0])
    assert 0.1 < 1 - second_modulus(walk, Solver(walk).stationary()).square().item() < 0.125
    with pytest.raises(UserError, match="infinite variance"):
        by_mu(Infinity(stop=0.2), 0)


def test_a_walk_that_hardly_forgets_is_solved() -> None:
    """Two halves between which the walk almost never passes, and beside it one that forgets."""
    rates = torch.ones(2, 6, dtype=torch.float64)
    rates[0, [1, 4]] = 1e-6
    path = births(4) + deaths(4, 1)
    weights = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.float64)
    walk = Walk(path, rates)
    assert (by_rates(Infinity(), walk, weights) - by_rates(Exact(), walk, weights)).abs().max() == 0
    assert by_rates(Infinity(), walk, weights)[0, 1].abs() > 1e4


def test_draws_follow_the_seed() -> None:
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(by_mu(Infinity(), 0))
    assert values[0] == values[1] != values[2]


def test_long_unrolling_is_exact_on_a_fast_chain_and_short_is_biased_on_a_slow_one() -> None:
    assert abs(by_mu(Unrolled(ticks=2000), 0) - by_mu(Exact(), 0)) < 1e-12
    short, true = (by_mu(method, 0, load=24.0) for method in (Unrolled(ticks=16), Exact()))
    assert short < true / 2


def test_truncation_comes_nearer_with_more_terms() -> None:
    errors = [abs(by_mu(Truncated(terms=terms), 0) - DERIVATIVES[0]) for terms in (4, 16, 64, 1000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-3
    assert errors[-1] < 1e-8


@pytest.mark.parametrize("method", [Exact(), Truncated(terms=9), Unrolled(ticks=9), Infinity()])
def test_dense_and_sparse_gradients_agree(method: Any) -> None:
    walk = queue([13.0, 31.0], [16.0, 8.0, 4.0])
    weights = torch.randn(2, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for dense in (True, False):
        torch.manual_seed(3)
        fixed = Infinity(stop=0.03) if isinstance(method, Infinity) else method
        found.append(by_rates(fixed, Walk(walk.transitions, walk.rates, dense), weights))
    assert (found[0] - found[1]).abs().max() < 1e-10


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_rates_that_are_none_are_refused(bad: float) -> None:
    walk = queue([13.0], [25.0])
    rates = walk.rates.clone()
    rates[0, 3] = bad
    with pytest.raises(UserError, match="wants finite rates from 0"):
        steady_state(rates, walk.transitions, Exact())
