"""What every search method must do, whichever files the folder holds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Problem, Search, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.split import WHOLE, Share
from stillhouse.space import cost
from tests.searches import toy

NAMES = list(registry.known("searches"))
every_search = pytest.mark.parametrize("name", NAMES)


def trials(name: str, problem: Problem[Any], seed: int = 0) -> list[Trial]:
    torch.manual_seed(seed)
    method = registry.search(name)
    return list(method.run(problem, settings_of(name, method), torch.Generator().manual_seed(seed)))


def settings_of(name: str, method: Search) -> Settings:
    """The defaults, with a training that suits the toy problems; a method's own test may say in `TOY` what else does."""
    training = {"fit": toy.TRAINING} if "fit" in method.settings.model_fields else {}
    return method.settings.model_validate(training | _own(name, "TOY", {}))


def _own(name: str, what: str, usual: Any) -> Any:
    """What a method's own test says under a name; or the usual."""
    found = find_spec(f"tests.searches.test_{name}")
    return getattr(importlib.import_module(found.name), what, usual) if found else usual


@every_search
@pytest.mark.parametrize("problem", [toy.problem(share=0.35), toy.problem(share=0.75), toy.deep_problem(0.3), toy.deep_problem(0.6)])
def test_keeps_the_budget(name: str, problem: Problem[Any]) -> None:
    """And uses at least nine tenths of it; the cost that is claimed is the cost of the network that is handed on."""
    for trial in trials(name, problem):
        assert 0.9 * problem.budget <= trial.cost <= problem.budget
        assert trial.cost == float(problem.cost(cost.counts_of(problem.groups, trial.architecture)))


@every_search
@pytest.mark.parametrize("problem", [toy.problem(), toy.deep_problem()])
def test_metrics_are_those_of_the_weights(name: str, problem: Problem[Any]) -> None:
    for trial in trials(name, problem):
        model = problem.static(trial.architecture)
        assert trial.weights is not None
        model.load_state_dict(trial.weights)
        assert problem.validate(model) == trial.metrics


@every_search
def test_same_seed_same_trials(name: str) -> None:
    first, second = (trials(name, toy.deep_problem(), seed=5) for _ in range(2))
    same(first, second)


def same(first: list[Trial], second: list[Trial]) -> None:
    assert [(trial.architecture, trial.cost, trial.metrics) for trial in first] == [
        (trial.architecture, trial.cost, trial.metrics) for trial in second
    ]
    for one, other in zip(first, second, strict=True):
        assert one.weights is not None
        assert other.weights is not None
        torch.testing.assert_close(dict(one.weights), dict(other.weights), rtol=0, atol=0)


@every_search
def test_finds_the_best_more_often_than_chance(name: str) -> None:
    """Of the 924 ways to keep six inputs of twelve one is best; three of four searches should end there.

    A method's own test may say in `PROBLEM` for which problem it is made, and in `TRUTH` what holds in that.
    """
    hits = 0
    problem = _own(name, "PROBLEM", toy.problem)()
    for seed in range(4):
        found = max(trials(name, problem, seed), key=lambda trial: trial.metrics["explained"])
        hits += found.architecture == toy.best(_own(name, "TRUTH", toy.EVEN))
    assert hits >= 3


@every_search
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    def interrupt(record: Mapping[str, Any]) -> None:
        if record.get("epoch") == 2 and record.get("draw") != 1:
            raise KeyboardInterrupt

    problem = replace(toy.deep_problem(), scratch=tmp_path)
    try:
        trials(name, replace(problem, log=interrupt))
    except KeyboardInterrupt:
        same(trials(name, problem), trials(name, toy.deep_problem()))
    else:
        assert not list(tmp_path.iterdir()), "a search that trains should keep its state and be interruptible"


class Adapted(nn.Module):
    """A teacher of a scale that the adapter must find: what a network is trained on wants it trained too."""

    def __init__(self, asked: list[Adapted]) -> None:
        super().__init__()
        self.scale, self.answered = nn.Parameter(torch.ones(())), 0
        asked.append(self)

    def forward(self, output: Output, batch: Any, share: Share = WHOLE) -> torch.Tensor:
        self.answered += 1
        return (self.scale * output.prediction - 3.0).square().mean()


@every_search
def test_what_is_trained_is_trained_on_the_lesson_with_its_adapters(name: str) -> None:
    asked: list[Adapted] = []
    problem = toy.deep_problem()
    trials(name, replace(problem, lesson=lambda network: Adapted(asked)))
    trains = getattr(settings_of(name, registry.search(name)), "fit", None) is not None
    assert bool(asked) == trains
    assert all(adapter.answered >= problem.data.train.length and adapter.scale.item() != 1.0 for adapter in asked)


@every_search
def test_an_impossible_budget_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match=r"the budget of 10\.\d+ cannot be met: the smallest network of this space costs"):
        trials(name, replace(toy.deep_problem(), budget=10.5))
