"""Uniformisation, steady states against closed forms, and the dense and the sparse way of everything."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.queue.solve import Solver, followed
from stillhouse.workloads.queue.spectrum import second_modulus
from stillhouse.workloads.queue.walk import Transitions, Walk, all_others, births, deaths
from tests.workloads.queue.chains import queue, random_walk

CLOSED = [
    ([25.0], 1, 11.0, (0.5600000414230039, 0.2464000182261217, 9.414319049e-08)),
    ([25.0], 1, 31.0, (0.003293800870562, 0.004084313079497, 0.196204678121421)),
    ([25.0], 1, 60.0, (3.482596925e-08, 8.358232621e-08, 0.583333347844154)),
    ([5.0], 5, 15.0, (0.046652410368195, 0.139957231104254, 7.40315121167e-05)),
    ([5.0], 5, 31.0, (0.000127805638591, 0.000792394959262, 0.198258039995633)),
    ([16.0, 8.0, 4.0], 1, 31.0, (0.144761453195322, 0.175079492288958, 0.002967311683163)),
    ([16.0, 8.0, 4.0], 1, 60.0, (0.002162037198863, 0.003895486750775, 0.271113475474458)),
]


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(("rates", "servers", "load", "expected"), CLOSED)
def test_steady_states_equal_their_closed_forms(
    rates: list[float], servers: int, load: float, expected: tuple[float, ...], dense: bool
) -> None:
    walk = queue([load], rates, servers)
    steady = Solver(Walk(walk.transitions, walk.rates, dense)).stationary()[0]
    digits = torch.tensor(expected, dtype=torch.float64)
    assert (steady[[0, 1, 19]] - digits).abs().max() < 1e-12
    assert abs(steady.sum().item() - 1) < 1e-14


def test_one_server_is_geometric_and_several_are_a_product() -> None:
    for servers in (1, 5):
        ratio = 13 / (25 * torch.arange(1, 20, dtype=torch.float64).clamp(max=servers))
        product = torch.cat((torch.ones(1, dtype=torch.float64), ratio.cumprod(0)))
        steady = Solver(queue([13.0], [25.0], servers)).stationary()[0]
        expected = product / product.sum()
        assert (steady - expected).abs().max() < 1e-14
        assert (steady / expected - 1)[expected > 1e-6].abs().max() < 1e-9


@given(st.integers(0, 10**6), st.integers(2, 12))
@settings(max_examples=40)
def test_the_walk_of_any_chain_is_stochastic_and_keeps_the_balance_of_its_rates(seed: int, states: int) -> None:
    walk = random_walk(seed, states)
    assert walk.matrix is not None
    assert (walk.matrix >= 0).all()
    assert (walk.matrix.sum(-1) - 1).abs().max() < 1e-14
    steady = Solver(walk).stationary()
    rates = walk.transitions.matrix(walk.rates)
    into, out = torch.einsum("bi,bij->bj", steady, rates), steady * rates.sum(-1)
    assert (into - out).abs().max() < 1e-12 * walk.gamma.max()
    faster = Walk(walk.transitions, 7 * walk.rates)
    assert (Solver(faster).stationary() - steady).abs().max() < 1e-13


@given(st.integers(0, 10**6), st.integers(2, 12))
@settings(max_examples=20)
def test_dense_and_sparse_agree(seed: int, states: int) -> None:
    walk = random_walk(seed, states)
    sparse = Walk(walk.transitions, walk.rates, dense=False)
    value = torch.randn(2, states, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert (walk.expect(value) - sparse.expect(value)).abs().max() < 1e-13
    assert (walk.advance(value) - sparse.advance(value)).abs().max() < 1e-13
    steady = Solver(walk).stationary()
    assert (Solver(sparse).stationary() - steady).abs().max() < 1e-12
    centred = value - (steady * value).sum(-1, keepdim=True)
    both = [Solver(one).future(steady, centred) for one in (walk, sparse)]
    difference = both[0] - both[1]
    assert (difference - difference[:, :1]).abs().max() < 1e-9 * both[1].abs().max()


def test_the_second_modulus_is_that_of_the_eigenvalues() -> None:
    walk = queue([11.0, 15.0, 31.0], [16.0, 8.0, 4.0])
    assert walk.matrix is not None
    steady = Solver(walk).stationary()
    expected = torch.linalg.eigvals(walk.matrix).abs().sort(-1).values[:, -2]
    assert (second_modulus(walk, steady) - expected).abs().max() < 1e-4
    sparse = second_modulus(Walk(walk.transitions, walk.rates, dense=False), steady)
    assert ((1 - sparse) / (1 - expected) - 1).abs().max() < 0.2


def test_the_recipe_has_the_published_spectral_gaps() -> None:
    """With the published slack, the gap is smaller by the ratio of the clocks."""
    published = [
        ([25.0], 1, (11, 15), 40, (0.022, 0.043)),
        ([5.0], 5, (11, 15), 100, (0.013, 0.024)),
        ([16.0, 8.0, 4.0], 1, (11, 15), 43, (0.068, 0.096)),
        ([25.0], 1, (21, 30), 55, (0.005, 0.008)),
    ]
    for rates, servers, (low, high), slack, expected in published:
        walk = queue([float(load) for load in range(low, high + 1)], rates, servers)
        assert walk.matrix is not None
        values = torch.linalg.eigvals(walk.matrix).real.sort(-1).values[:, -2]
        fastest = walk.gamma.squeeze(-1)
        gap = (1 - values) * fastest / (fastest / 1.001 + slack)
        assert abs(gap.min().item() - expected[0]) < 1.5e-3
        assert abs(gap.max().item() - expected[1]) < 1.5e-3


def test_thousands_of_states_take_seconds() -> None:
    started = time.process_time()
    walk = queue([13.0], [25.0], states=5000)
    solver = Solver(walk)
    assert walk.matrix is None
    steady = solver.stationary()
    geometric = 0.48 * 0.52 ** torch.arange(5000, dtype=torch.float64)
    assert (steady - geometric).abs().max() < 1e-12
    value = torch.zeros_like(steady)
    value[:, 0] = 1
    centred = value - steady[:, :1]
    future = solver.future(steady, centred)
    assert (future - walk.expect(future) - centred).abs().max() < 1e-9
    assert time.process_time() - started < 5


def test_two_sets_that_cannot_be_left_are_refused() -> None:
    apart = Transitions(4, torch.tensor([0, 1, 2, 3]), torch.tensor([1, 0, 3, 2]))
    with pytest.raises(UserError, match="two sets that cannot be left"):
        Solver(Walk(apart, torch.ones(1, 4, dtype=torch.float64))).stationary()


def test_states_that_are_only_passed_have_no_share() -> None:
    down = deaths(5, 1)
    for dense in (True, False):
        steady = Solver(Walk(down, torch.ones(1, 4, dtype=torch.float64), dense)).stationary()
        assert (steady - torch.tensor([1.0, 0, 0, 0, 0])).abs().max() < 1e-8


def test_all_transitions_are_there_once() -> None:
    known = births(6) + deaths(6, 2)
    assert known.source.tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 2, 3, 4, 5]
    assert known.target.tolist() == [1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 0, 1, 2, 3]
    every = known + all_others(known, None)
    assert sorted(zip(every.source.tolist(), every.target.tolist(), strict=True)) == [(i, j) for i in range(6) for j in range(6) if i != j]
    near = all_others(known, 2)
    assert (near.source - near.target).tolist() == [-2] * 4


def test_a_walk_that_is_followed_comes_to_its_steady_state() -> None:
    walk = random_walk(3, 9)
    assert (followed(walk) - Solver(walk).stationary()).abs().max() < 1e-11
    stuck = Walk(births(2) + deaths(2, 1), torch.tensor([[1.0, 1e-9]], dtype=torch.float64))
    assert followed(stuck)[0, 1] > 1 - 1e-8
    slow = random_walk(3, 4)
    slow.rates[:, 1:] *= 1e-7
    with pytest.raises(UserError, match="stands still after 100000 ticks"):
        followed(slow)
