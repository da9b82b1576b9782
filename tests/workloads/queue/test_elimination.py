"""Steady states without a factorisation: right for the rarest state, the same by either way, and what an exported chain answers with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.runtimes.onnx_words import WORDS, softplus
from stillhouse.runtimes.program import capture
from stillhouse.workloads.queue.batch import Batch
from stillhouse.workloads.queue.elimination import eliminated
from stillhouse.workloads.queue.families.neural import NeuralSettings
from stillhouse.workloads.queue.gradients import Exact, Unrolled, steady_state
from stillhouse.workloads.queue.solve import Solver
from stillhouse.workloads.queue.walk import Transitions, Walk, births, deaths
from tests.workloads.queue.chains import random_walk


def ladder(load: float, states: int = 20) -> Walk:
    """One job arrives at the load's rate and one leaves at the rate of 1."""
    ends = births(states) + deaths(states, 1)
    return Walk(ends, torch.cat((torch.full((1, states - 1), load, dtype=torch.float64), torch.ones(1, states - 1)), 1))


@pytest.mark.parametrize("known", [True, False])
def test_the_rarest_state_has_all_its_digits(known: bool) -> None:
    """(1 - r) r^n / (1 - r^20): with r = 0.01 the last state has 1e-38, where a factorisation has nothing but rounding."""
    walk = ladder(0.01)
    found = eliminated(walk if known else Walk(replace(walk.transitions, jumps=None), walk.rates))
    assert found is not None
    wanted = 0.99 * 0.01 ** torch.arange(20).double() / (1 - 0.01**20)
    torch.testing.assert_close(found[0], wanted, rtol=1e-12, atol=0)


def test_any_chain_is_solved_as_by_a_factorisation() -> None:
    walk = random_walk(0, 9)
    torch.testing.assert_close(eliminated(walk), Solver(walk).stationary(), rtol=1e-12, atol=0)


def test_answers_without_a_gradient_are_those_of_elimination() -> None:
    walk = ladder(0.01)
    with torch.no_grad():
        found = steady_state(walk.rates, walk.transitions, Exact())
        unrolled = steady_state(walk.rates, walk.transitions, Unrolled(ticks=1))
    torch.testing.assert_close(found, eliminated(walk), rtol=0, atol=0)
    assert (unrolled - found).abs().max() > 0.1  # which is not the steady state, and is to stay what it is


def test_states_that_cannot_be_eliminated_are_left_to_the_solver() -> None:
    ends = Transitions(3, torch.tensor([0, 1]), torch.tensor([1, 2]))
    rates = torch.ones(1, 2).double()
    assert eliminated(Walk(ends, rates)) is None
    assert eliminated(Walk(births(65) + deaths(65, 2), torch.ones(1, 64 + 64 + 63).double())) is None
    with torch.no_grad():
        torch.testing.assert_close(steady_state(rates, ends, Exact()), torch.tensor([[0.0, 0.0, 1.0]]).double())
        with pytest.raises(UserError, match="a steady state wants a chain whose 3 states all lead to one set of states"):
            steady_state(rates, Transitions(3, torch.tensor([1, 1]), torch.tensor([0, 2])), Exact())


def test_softplus_in_other_words_has_the_same_digits() -> None:
    value = torch.tensor([-700.0, -40.0, -3.0, 0.0, 1e-9, 3.0, 40.0]).double()
    wanted = torch.log1p((-value.abs()).exp()) + value.clamp(min=0)
    torch.testing.assert_close(softplus(value), wanted, rtol=1e-15, atol=0)
    torch.testing.assert_close(softplus(value, 2.0), torch.nn.functional.softplus(value, 2.0), rtol=1e-8, atol=0)
    assert softplus(value.float()) is NotImplemented


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of PyTorch about its own modules
def test_an_exported_chain_wants_no_factorisation_and_answers_for_any_number_of_loads() -> None:
    workload = registry.workload("queue")
    torch.manual_seed(0)
    network = workload.model(NeuralSettings(width=4, hidden=4, depth=1), {"states": 8}, None).eval()
    torch.nn.init.normal_(network.prior.last.weight)
    one, other = (Batch(torch.linspace(0.01, 2, number).double(), *([torch.ones(number, 8)] * 3)) for number in (3, 5))
    program = capture(workload, network, [one])
    inside = program.exported.run_decompositions(WORDS)
    used = {str(node.target) for node in inside.graph.nodes}
    assert not {name for name in used if "linalg" in name or "softplus" in name}
    with torch.no_grad():
        wanted = workload.apply(network, other).prediction
    torch.testing.assert_close(inside.module()(*program.values(other))[0], wanted, rtol=1e-9, atol=0)
