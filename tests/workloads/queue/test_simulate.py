"""Simulated samples have the steady state's frequencies, and only transitions that exist."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from stillhouse.workloads.queue.simulate import Simulation, full_share, simulate
from stillhouse.workloads.queue.solve import Solver

RECIPES = [Simulation(), Simulation(servers=5, rates=(5.0,)), Simulation(rates=(16.0, 8.0, 4.0))]


@pytest.mark.parametrize("recipe", RECIPES)
def test_frequencies_are_those_of_the_steady_state(recipe: Simulation) -> None:
    load = torch.full((2000,), 14.0)
    counts = simulate(recipe, load, torch.Generator().manual_seed(0)).double()
    shares = counts / counts.sum(1, keepdim=True)
    steady = Solver(recipe.walk(load[:1])).stationary()[0]
    error = (shares.mean(0) - steady).abs() / (shares.std(0) / len(load) ** 0.5 + 1e-4)
    assert error.max() < 4.5


@pytest.mark.parametrize(("recipe", "ticks"), [(RECIPES[0], 79), (RECIPES[1], 139), (RECIPES[2], 85)])
def test_a_sample_is_watched_for_one_unit_of_time(recipe: Simulation, ticks: float) -> None:
    number = simulate(recipe, torch.full((2000,), 14.0), torch.Generator().manual_seed(0)).sum(1).double()
    assert abs(number.mean().item() - ticks) < 1
    assert abs(number.var().item() / ticks - 1) < 0.15


def test_every_jump_follows_its_probability() -> None:
    """One tick from a known state, many times over: seen through the two states of the smallest chain."""
    recipe = Simulation(states=2, rates=(3.0,), light=(1.0,), slack=4.0, duration=200.0)
    counts = simulate(recipe, torch.ones(200), torch.Generator().manual_seed(0)).double().sum(0)
    assert abs(counts[1] / counts.sum() - 0.25) < 0.01


def test_the_full_share_is_the_closed_form() -> None:
    share = full_share(Simulation(), torch.tensor([31.0, 60.0]))
    assert (share - torch.tensor([0.196204678121421, 0.583333347844154], dtype=torch.float64)).abs().max() < 1e-12


def test_equal_seeds_give_equal_samples() -> None:
    first, again, other = (simulate(RECIPES[2], torch.full((5,), 14.0), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("bad", [{"light": (0.0,)}, {"heavy": (3.0, -1.0)}, {"rates": (0.0,)}, {"states": 1}, {"duration": 0}])
def test_impossible_recipes_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Simulation(**bad)
