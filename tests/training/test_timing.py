"""A budget in milliseconds: fitted to what was measured, kept, used by a search, and checked on what it finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem
from stillhouse.contracts.runtime import Clock
from stillhouse.contracts.settings import Settings
from stillhouse.runtimes.clock import clock as real_clock
from stillhouse.searches.dms import SEARCH as DMS
from stillhouse.searches.random import SEARCH as RANDOM
from stillhouse.searches.uniform import SEARCH as UNIFORM
from stillhouse.space.blueprint import Architecture, Blueprint, fixed, full, groups_of
from stillhouse.space.cost import counts_of
from stillhouse.training import timing
from stillhouse.training.budget import Budget
from stillhouse.training.latency_model import drawn
from stillhouse.training.problem import Networks, pose, solve
from stillhouse.training.timing import Bench, sized_batch
from tests.tiny.parts.workloads.toy import WORKLOAD
from tests.training.test_budget import ROWS, TASK, rng

HALF = Budget(unit="latency", share=0.5)


class Block(nn.Module):
    def __init__(self, blueprint: Blueprint, index: int) -> None:
        super().__init__()
        hidden = blueprint.width(f"block{index}", 12)
        self.first, self.gate, self.second = blueprint.linear(fixed(8), hidden), blueprint.gate(hidden), blueprint.linear(hidden, fixed(8))
        self.scale = blueprint.depth_gate("blocks", index)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value + self.scale(self.second(self.gate(self.first(value).relu())))


class Network(nn.Module):
    """Two removable blocks of their own widths between two layers."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.blueprint = blueprint = Blueprint(architecture)
        kept = blueprint.depth("blocks", 2)
        for index in {0, 1} - set(kept):
            blueprint.width(f"block{index}", 12)
        self.stem, self.head = blueprint.linear(fixed(4), fixed(8)), blueprint.linear(fixed(8), fixed(3))
        self.blocks = nn.ModuleDict({str(index): blueprint.block("blocks", index, Block(blueprint, index)) for index in kept})

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        value = self.stem(value)
        for block in self.blocks.values():
            value = block(value)
        return self.head(value)


def planted(model: nn.Module) -> float:
    """3 ms, 2 ms for each block, 0.05 ms for each unit of block 0 and 0.25 ms for one of block 1."""
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    each = {"block0": 0.05, "block1": 0.25}
    return 3.0 + sum(2.0 + each[block.gate.axis.parts[0][0]] * block.first.out_features for block in blocks)


def bench(milliseconds: Callable[[nn.Module], float] = planted, kept: Path | None = None, **facts: Any) -> Bench:
    def make(task: Any, example: Any, *, runtime: str, threads: int) -> Clock:
        return Clock(milliseconds, {"runtime": runtime, "threads": threads, **facts})

    return Bench(make, lambda size: ROWS, kept)


def posed(*budgets: Budget, on: Bench | None = None, log: Any = lambda record: None) -> Problem[Any]:
    split, model = Batches(lambda generator: iter([ROWS]), 1), Network().eval()
    return pose(TASK, Data(split, split), Networks(model, model, Network, Network), budgets, log=log, bench=on or bench())


def counts(problem: Problem[Any], blocks: tuple[int, ...], first: int, second: int) -> dict[str, torch.Tensor]:
    kept = {"blocks": blocks, "block0": tuple(range(first)), "block1": tuple(range(second))}
    return {name: value.double().requires_grad_() for name, value in counts_of(problem.groups, Architecture(kept)).items()}


@pytest.mark.parametrize(
    ("blocks", "first", "second", "wanted"), [((0, 1), 12, 12, 10.6), ((1,), 3, 5, 6.25), ((), 1, 1, 3.0), ((0,), 7, 2, 5.35)]
)
def test_a_planted_cost_is_predicted_exactly(blocks: tuple[int, ...], first: int, second: int, wanted: float) -> None:
    problem = posed(HALF)
    assert float(problem.cost(counts(problem, blocks, first, second)).detach()) == pytest.approx(wanted, rel=1e-6)
    fitted = problem.limits[0].fitted
    assert fitted
    assert fitted.error < 1e-6
    assert sum(fitted.coefficients.values()) == pytest.approx(10.6, rel=1e-6)
    assert problem.budget == pytest.approx(5.3)


def test_the_gradient_of_the_prediction_is_the_planted_one() -> None:
    problem = posed(HALF)
    kept = counts(problem, (0, 1), 6, 6)
    first, second, blocks = torch.autograd.grad(problem.cost(kept), [kept["block0"], kept["block1"], kept["blocks"]])
    assert float(first) == pytest.approx(0.05, rel=1e-5)
    assert float(second) == pytest.approx(0.25, rel=1e-5)
    torch.testing.assert_close(blocks, torch.tensor([2 + 6 * 0.05, 2 + 6 * 0.25]).double(), rtol=1e-5, atol=0)


DMS_SETTINGS = {"fit": {"epochs": 20, "learning_rate": 0.01}, "structure_learning_rate": 0.05}
SEARCHES = [(UNIFORM, {}), (DMS, DMS_SETTINGS), (RANDOM, {"draws": 2, "fit": {"epochs": 2, "learning_rate": 0.01}, "band": 0.3})]


@pytest.mark.parametrize(("method", "settings"), SEARCHES)
def test_a_search_lands_inside_and_says_what_it_predicted_and_measured(method: Any, settings: Any) -> None:
    best, facts = solve(posed(HALF), method, method.settings.model_validate(settings), rng())
    assert facts["latency_measured_ms"] == pytest.approx(planted(Network(best.architecture)))
    assert facts["latency_predicted_ms"] == pytest.approx(facts["latency_measured_ms"], rel=1e-6)
    assert 0.7 * 5.3 < facts["latency_measured_ms"] <= facts["latency_budget_ms"] == pytest.approx(5.3)


def test_all_of_several_budgets_are_kept() -> None:
    problem = posed(Budget(unit="macs", share=0.9), Budget(unit="latency", value=6.0))
    _, facts = solve(problem, UNIFORM, UNIFORM.settings(), rng())
    assert facts["latency_measured_ms"] <= 6.0
    assert facts["cost_macs"] <= facts["budget_macs"]


def test_widths_are_the_multiples_that_the_budget_wants() -> None:
    problem = posed(Budget(unit="latency", share=0.9, multiple=4))
    best, _ = solve(problem, UNIFORM, UNIFORM.settings(multiple=2), rng())
    kept = best.architecture.counts()
    assert {kept["block0"] % 4, kept["block1"] % 4} == {0}
    assert {len(each.kept["block0"]) for each in drawn(problem.groups, 30, 4)} == {4, 8, 12}


def test_what_was_measured_is_measured_once_a_machine(tmp_path: Path) -> None:
    asked: list[nn.Module] = []

    def counting(model: nn.Module) -> float:
        asked.append(model)
        return planted(model)

    log: list[dict[str, Any]] = []
    torch.manual_seed(5)
    first = posed(HALF, on=bench(counting, tmp_path, processor="a"), log=log.append)
    drawn_after = torch.rand(())
    number = len(asked)
    assert (number, log[-1]) == (timing.SAMPLES + 2, {"measured": timing.SAMPLES + 1, "networks": timing.SAMPLES + 1})
    torch.manual_seed(5)
    again = posed(HALF, on=bench(counting, tmp_path, processor="a"))
    assert (len(asked), torch.equal(torch.rand(()), drawn_after)) == (number, True)
    assert dict(again.limits[0].fitted.coefficients) == dict(first.limits[0].fitted.coefficients)  # type: ignore[union-attr]
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["clock"] == {"processor": "a", "runtime": "torch", "threads": 1}
    posed(HALF, on=bench(counting, tmp_path, processor="b"))
    posed(HALF.model_copy(update={"threads": 2}), on=bench(counting, tmp_path, processor="a"))
    assert (len(asked), len(list(tmp_path.iterdir()))) == (3 * number, 3)


def test_the_networks_that_are_measured_are_always_the_same() -> None:
    groups = groups_of(Network())
    assert drawn(groups, 20, 1) == drawn(groups, 20, 1)
    assert drawn(groups, 20, 1)[0] == full(groups)
    assert len({each.to_json() for each in drawn(groups, 20, 1)}) > 15


def test_settings_of_a_latency_stand_with_a_latency_alone() -> None:
    with pytest.raises(ValueError, match="runtime, threads should stand in a budget whose unit is latency"):
        Budget(unit="macs", share=0.5, runtime="onnx", threads=2)


def test_without_anything_to_measure_with_it_is_refused() -> None:
    split, model = Batches(lambda generator: iter([ROWS]), 1), Network()
    with pytest.raises(UserError, match="a budget in milliseconds"):
        pose(TASK, Data(split, split), Networks(model, model, Network, Network), [HALF], log=lambda _: None)


def test_a_batch_has_the_wanted_size_or_is_refused(tmp_path: Path) -> None:
    class Unsized(Settings):
        batch_size: int = 4

    with pytest.raises(UserError, match="leave `batch` out"):
        sized_batch(WORKLOAD, Unsized(), tmp_path, 8)

    class Sized(Settings):
        evaluation_batch_size: int = 4

    def load(data: Sized, prepared: Path) -> Data[Any]:
        split = Batches(lambda generator: iter([torch.zeros(data.evaluation_batch_size)]), 1)
        return Data(split, split)

    workload = replace(WORKLOAD, load=load)
    assert [len(sized_batch(workload, Sized(), tmp_path, size)) for size in (8, None)] == [8, 4]


@pytest.mark.parametrize("runtime", ["torch", "pt2"])
def test_the_real_clock_measures_a_copy(runtime: Any) -> None:
    model = Network()
    before = torch.get_num_threads()
    found = real_clock(TASK, ROWS, runtime=runtime, threads=1)
    assert found.milliseconds(model) > 0
    assert (model.training, torch.get_num_threads()) == (True, before)
    assert found.facts.keys() == {"runtime", "threads", "processor", "torch", "onnxruntime"}
