"""The priors: which transitions they permit, what they penalise, and that they are learned."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.workloads.queue.chain import Chain
from stillhouse.workloads.queue.families.black_box import BlackBox, BlackBoxSettings
from stillhouse.workloads.queue.families.structured import StructuredSettings, structured
from stillhouse.workloads.queue.families.triangular import TriangularSettings, triangular
from stillhouse.workloads.queue.gradients import Exact, Unrolled
from stillhouse.workloads.queue.solve import Solver
from stillhouse.workloads.queue.walk import Transitions
from tests.workloads.queue.chains import queue

LOADS = torch.tensor([0.7, 1.3], dtype=torch.float64)


def matrix(chain: Chain) -> torch.Tensor:
    rates = chain.rates(LOADS)[0].detach()
    return Transitions(chain.states, chain.source, chain.target).matrix(rates)


@pytest.mark.parametrize(("servers", "rates"), [(1, [25.0]), (5, [5.0]), (1, [16.0, 8.0, 4.0])])
def test_a_structured_chain_with_the_true_rates_is_the_true_chain(servers: int, rates: list[float]) -> None:
    chain = structured(StructuredSettings(servers=servers, jobs=len(rates)), 20)
    with torch.no_grad():
        chain.prior.logarithm.copy_(torch.tensor(rates).log() - torch.tensor(13.0).log())
    output = chain.eval()(torch.tensor([11.0, 31.0], dtype=torch.float64) / 13)
    true = Solver(queue([11.0, 31.0], rates, servers)).stationary()
    assert (output.prediction.exp() - true).abs().max() < 1e-6
    assert output.penalty == 0


def test_extra_transitions_are_those_that_the_structure_forbids() -> None:
    settings = StructuredSettings(jobs=2, penalty=3.0)
    chain = structured(settings, 6)
    rates = matrix(chain)[0]
    assert ((rates > 0) | torch.eye(6).bool()).all()
    assert torch.equal(rates.diagonal(1), torch.full((5,), 0.7, dtype=torch.float64))
    assert torch.equal(rates.diagonal(-2), torch.ones(4, dtype=torch.float64))
    extra = rates.clone()
    for offset in (1, -1, -2):
        extra -= torch.diag(rates.diagonal(offset), offset)
    assert chain.rates(LOADS)[1].item() == pytest.approx(3.0 * extra.norm().item())
    near = matrix(structured(StructuredSettings(penalty=3.0, reach=2), 6))[0]
    assert near[0].nonzero().flatten().tolist() == [1, 2]
    assert near[3].nonzero().flatten().tolist() == [1, 2, 4, 5]


def test_a_triangular_chain_has_every_transition_down_and_with_a_penalty_up() -> None:
    plain = matrix(triangular(TriangularSettings(), 6))[0] > 0
    assert torch.equal(plain, torch.ones(6, 6).tril(-1).bool() | torch.diag(torch.ones(5), 1).bool())
    chain = triangular(TriangularSettings(penalty=2.0), 6)
    rates = matrix(chain)[0]
    assert ((rates > 0) | torch.eye(6).bool()).all()
    assert chain.rates(LOADS)[1].item() == pytest.approx(2.0 * rates.triu(2).norm().item())


def test_the_penalty_presses_extra_rates_down_and_leaves_the_rest() -> None:
    chain = structured(StructuredSettings(penalty=1.0), 5)
    penalty = chain.rates(LOADS)[1]
    penalty.backward()
    parts = dict(chain.prior.named_parameters())
    assert (parts["second.logarithm"].grad > 0).all()
    assert parts["first.logarithm"].grad is None


def families() -> list[nn.Module]:
    return [
        structured(StructuredSettings(jobs=2, gradient=Exact()), 6),
        triangular(TriangularSettings(gradient=Exact(), penalty=1.0), 6),
        BlackBox(BlackBoxSettings(), 6, None),
    ]


@pytest.mark.parametrize("model", families(), ids=["structured", "triangular", "black_box"])
def test_every_family_learns_a_distribution(model: Any) -> None:
    wanted = Solver(queue([0.7, 1.3], [1.1, 0.4], states=6)).stationary()
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.05), []
    for _ in range(100):
        output = model.train()(LOADS)
        assert output.prediction.dtype == torch.float64
        assert (output.prediction.exp().sum(-1) - 1).abs().max() < 1e-6
        value = (wanted * (wanted.log() - output.prediction)).sum(-1).mean() + output.penalty
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.1 * losses[0]


def test_an_unrolled_chain_predicts_what_its_walk_has_come_to() -> None:
    short, long, steady = (structured(StructuredSettings(gradient=how), 20) for how in (Unrolled(ticks=3), Unrolled(ticks=3000), Exact()))
    wanted = steady(LOADS).prediction.exp()
    assert (long(LOADS).prediction.exp() - wanted).abs().max() < 1e-6
    assert (short.eval()(LOADS).prediction.exp() - wanted).abs().max() > 0.1
