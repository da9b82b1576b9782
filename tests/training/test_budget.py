"""Budgets, one or several at once, and the choice of groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Problem
from stillhouse.searches.random import SEARCH as RANDOM
from stillhouse.searches.uniform import SEARCH
from stillhouse.space.blueprint import Architecture, Blueprint, declare, fixed, full, groups_of
from stillhouse.space.cost import counts_of
from stillhouse.space.trace import cut, traced
from stillhouse.training.budget import Budget, chosen
from stillhouse.training.problem import Networks, pose, solve

ROWS = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
TASK: Any = SimpleNamespace(
    apply=lambda model, batch: Output(model(batch[0]), "classes"),
    loss=lambda output, batch: cross_entropy(output.prediction, batch[1]),
    score=lambda pairs: {"score": sum(float(output.prediction.mean()) for output, _ in pairs)},
    higher_is_better=True,
    split=None,
)
HALF = Budget(unit="macs", share=0.5)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def network(architecture: Architecture | None = None) -> nn.Module:
    blueprint = Blueprint(architecture)
    wide, narrow = blueprint.width("body.wide", 32), blueprint.width("body.narrow", 8)
    layers = (blueprint.linear(fixed(4), wide), nn.ReLU(), blueprint.gate(wide), blueprint.linear(wide, narrow))
    model = nn.Sequential(*layers, blueprint.gate(narrow), blueprint.linear(narrow, fixed(3)))
    model.blueprint = blueprint  # type: ignore[assignment]
    return model


def posed(*budgets: Budget, foreign: bool = False, **choice: Any) -> Problem[Any]:
    split = Batches(lambda generator: iter([ROWS]), 1)
    if not foreign:
        model = network().eval()
        networks = Networks(model, model, network, network)
    else:
        model = traced(nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 3)), (ROWS[0],))
        networks = Networks(model, model, lambda: model, lambda architecture: cut(model, architecture))
    return pose(TASK, Data(split, split), networks, budgets, log=lambda _: None, **choice)


def uniform(problem: Problem[Any]) -> tuple[dict[str, int], dict[str, float]]:
    best, facts = solve(problem, SEARCH, SEARCH.settings(), rng())
    return best.architecture.counts(), facts


def price(problem: Problem[Any], unit: str, kept: dict[str, int]) -> float:
    counts = counts_of(problem.groups, Architecture({name: tuple(range(count)) for name, count in kept.items()}))
    return float(next(limit for limit in problem.limits if limit.unit == unit).price(counts))


@pytest.mark.parametrize(("macs", "parameters", "tight"), [(0.5, 0.9, "macs"), (0.9, 0.5, "parameters")])
def test_of_several_budgets_the_tightest_is_used_up_and_all_are_kept(macs: float, parameters: float, tight: str) -> None:
    problem = posed(Budget(unit="macs", share=macs), Budget(unit="parameters", share=parameters))
    _, facts = uniform(problem)
    alone, _ = uniform(posed(Budget.model_validate({"unit": tight, "share": 0.5})))
    assert uniform(problem)[0] == alone
    assert all(facts[f"cost_{unit}"] <= facts[f"budget_{unit}"] for unit in ("macs", "parameters"))
    assert facts[f"cost_{tight}"] > 0.9 * facts[f"budget_{tight}"]


def test_the_cost_of_several_budgets_is_that_of_the_tightest_with_its_gradient() -> None:
    problem = posed(Budget(unit="macs", share=0.9), Budget(unit="parameters", value=100))
    counts = {name: count.requires_grad_() for name, count in counts_of(problem.groups, full(problem.groups)).items()}
    found = problem.cost(counts)
    macs, parameters = (limit.price(counts) for limit in problem.limits)
    ratio = float(found.detach() / problem.budget)
    assert ratio == pytest.approx(float(parameters.detach()) / 100)
    assert ratio > float(macs.detach()) / problem.limits[0].most
    wanted = torch.autograd.grad(parameters, list(counts.values()), retain_graph=True)
    for own, other in zip(torch.autograd.grad(found, list(counts.values())), wanted, strict=True):
        torch.testing.assert_close(own, other * (problem.budget / 100))


def test_a_value_is_the_budget_itself() -> None:
    assert posed(Budget(unit="macs", value=5000)).budget == 5000
    assert posed(HALF).budget == 0.5 * 16 * (4 * 32 + 32 * 8 + 8 * 3)


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("choice", ["keep", "only"])
def test_a_search_touches_the_chosen_groups_alone(foreign: bool, choice: str) -> None:
    names = [group.name for group in groups_of(network())] if not foreign else [group.name for group in posed(HALF, foreign=True).groups]
    wide, narrow = names
    problem = posed(HALF, foreign=foreign, **{choice: [f"*{narrow[-1]}"] if choice == "keep" else [wide]})
    counts, _ = uniform(problem)
    assert (counts[narrow], counts[wide] < 32) == (8, True)
    settings = RANDOM.settings.model_validate({"draws": 2, "fit": {"epochs": 2, "learning_rate": 0.01}, "band": 0.2})
    best, _ = solve(problem, RANDOM, settings, rng())
    assert (best.architecture.counts()[narrow], best.architecture.counts()[wide] < 32) == (8, True)


def test_a_pattern_of_no_group_is_refused_with_the_names() -> None:
    with pytest.raises(UserError, match=r"'heads\*' matches none of \['body.wide', 'body.narrow'\]"):
        posed(HALF, keep=["heads*"])
    with pytest.raises(UserError, match="they leave none"):
        posed(HALF, keep=["body.*"])
    with pytest.raises(UserError, match=r"the teacher's has nothing: name another by search\.model"):
        chosen((), (), ())


class Hidden(nn.Module):
    """Has a layer that it does not declare."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.plain = network(), nn.Linear(3, 3)
        self.blueprint = self.known.blueprint

    def forward(self, value: Tensor) -> Tensor:
        return self.plain(self.known(value))


def test_undeclared_cost_is_refused_with_the_modules() -> None:
    model, split = Hidden().eval(), Batches(lambda generator: iter([ROWS]), 1)
    with pytest.raises(UserError, match=r"6528 MACs are declared of 6672 that PyTorch counts - most are apart at plain \(0 of 144\)"):
        pose(TASK, Data(split, split), Networks(model, model, Hidden, network), [HALF], log=lambda _: None)


class Wrapped(nn.Module):
    """Declares at itself what the layer within it costs, and holds a list of networks, beside something that PyTorch does not count."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.known, self.inner, self.sums = nn.ModuleList([network(architecture)]), Wrap(), Sum()
        self.blueprint = self.known[0].blueprint

    def forward(self, value: Tensor) -> Tensor:
        return self.sums(self.inner(self.known[0](value)))


class Wrap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        declare(self, {}, (fixed(3), fixed(3)))

    def forward(self, value: Tensor) -> Tensor:
        return self.layer(value)


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        declare(self, {}, (fixed(3), fixed(30)))

    def forward(self, value: Tensor) -> Tensor:
        return value.cumsum(0)


def test_a_module_is_taken_at_its_word_where_nothing_in_it_is_counted() -> None:
    model, split = Wrapped().eval(), Batches(lambda generator: iter([ROWS]), 1)
    assert pose(TASK, Data(split, split), Networks(model, model, Wrapped, Wrapped), [HALF], log=lambda _: None).groups
