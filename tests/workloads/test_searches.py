"""Searches cut a smaller network out of every workload's teacher, and those that train can follow its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Loss, Problem, Trial
from stillhouse.contracts.settings import Settings
from stillhouse.searches.uniform import SEARCH
from stillhouse.space.blueprint import masked
from stillhouse.space.structure import Structure
from stillhouse.stages.search import SearchSettings, search
from stillhouse.training import checkpoint, facts
from stillhouse.training.budget import Budget
from stillhouse.training.lessons import lesson
from stillhouse.training.score import first_batch
from stillhouse.training.teaching import WeightedLoss
from tests.workloads.untrained import WORKLOADS, teacher


def gap(problem: Problem[Any], network: nn.Module, batch: Any) -> float:
    """How far a network's answers are from its teacher's, which the search is asked to follow in place of the task."""
    with torch.no_grad():
        return float(lesson(problem, network)(problem.apply(network.eval(), batch), batch))


def require_structure_alone(problem: Problem[Any], network: nn.Module, batch: Any) -> None:
    """Where the weights stand still, the importances of what may be dropped still see the task."""
    network.zero_grad()
    network.requires_grad_(False)
    structure = Structure(problem.groups)
    masks, _ = structure()
    with masked(network, masks):
        problem.loss(problem.apply(network.train(), batch), batch).backward()
    assert structure.gradient.isfinite().all()
    assert structure.gradient.any()
    assert not any(weight.grad is not None for weight in network.parameters())


def follow(problem: Problem[Any], settings: Any, rng: torch.Generator) -> Iterator[Trial]:
    """Looks at what a search would train on, before it cuts by the usual way."""
    network, batch = problem.supernet(), next(iter(problem.data.train.draw(rng)))
    before = gap(problem, network, batch)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
    assert before < 1e-9 < gap(problem, network, batch), "the teacher is not its own best student"
    network.zero_grad()
    lesson(problem, network)(problem.apply(network, batch), batch).backward()
    assert any(weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any() for weight in network.parameters())
    require_structure_alone(problem, network, batch)
    yield from SEARCH.run(problem, SEARCH.settings(), rng)


def fitting(made: SimpleNamespace) -> str:
    """The loss that suits what a workload predicts."""
    model = checkpoint.read_model(made.workload, made.teacher)
    output = made.workload.apply(model, first_batch(made.workload.load(made.data, made.prepared).valid, torch.device("cpu")))
    return "regression" if output.meaning == "values" else "logits"


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_network_is_cut_to_its_budget_and_scored(name: str, tmp_path: Path) -> None:
    made = teacher(name, tmp_path)
    chosen = SEARCH.settings(fit={"epochs": 1, "learning_rate": 1e-3})
    loss = fitting(made)
    asked = {"losses": [WeightedLoss(loss=loss, settings=registry.loss(loss).settings())], "task_weight": 0.0}
    budget = Budget(unit="parameters", share=0.5)
    settings = SearchSettings(method="follow", settings=chosen, budget=budget, data=made.data, **asked)
    paths = {"prepared": made.prepared, "teacher": made.teacher, "found": tmp_path / "found", "scratch": tmp_path / "scratch"}
    method = replace(SEARCH, run=follow)
    given = {"losses": [registry.loss(loss)], "rng": torch.Generator().manual_seed(0), "log": lambda _: None}
    facts = search(settings, made.workload, method, **paths, **given)
    assert facts["cost"] <= facts["budget"]
    found = checkpoint.read_model(made.workload, tmp_path / "found")
    assert sum(weight.numel() for weight in found.parameters()) <= facts["budget"]


def test_losses_of_a_search_are_shown_what_is_known_of_the_teacher(tmp_path: Path) -> None:
    made = teacher("classify", tmp_path)
    facts.write(made.teacher, {"class_means.x": torch.ones(3, 2)})
    seen: list[Any] = []

    def make(settings: Any, student: Any, master: Any, shown: Any) -> nn.Module:
        seen.append(shown.facts)
        raise UserError("enough")

    asked = {"losses": [WeightedLoss(loss="looks", settings=Settings())], "task_weight": 0.0}
    chosen = SEARCH.settings(fit={"epochs": 1, "learning_rate": 1e-3})
    settings = SearchSettings(method="uniform", settings=chosen, budget=Budget(unit="macs", share=0.5), data=made.data, **asked)
    paths = {"prepared": made.prepared, "teacher": made.teacher, "found": tmp_path / "found"}
    part = Loss(settings=Settings, make=make, sees=True)
    with pytest.raises(UserError, match="enough"):
        search(settings, made.workload, SEARCH, losses=[part], rng=torch.Generator(), log=lambda _: None, **paths)
    assert seen[0]["class_means.x"].tolist() == [[1.0, 1.0]] * 3
