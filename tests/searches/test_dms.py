from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches import dms
from stillhouse.training.fit import FitSettings
from tests.searches import toy

TOY = {"structure_learning_rate": 0.01}
"""Settings for the toy problems of the family's tests."""

FIT = FitSettings(epochs=20, learning_rate=0.02)


def search(problem: Problem[Any], seed: int = 0, **settings: Any) -> Trial:
    torch.manual_seed(seed)
    (trial,) = dms.run(problem, dms.DmsSettings(**({"fit": FIT} | settings)), torch.Generator().manual_seed(seed))
    return trial


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_recovers_the_useful_inputs_from_random_weights(seed: int) -> None:
    assert search(toy.problem(inherited=False), seed).architecture == toy.best(toy.EVEN)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gives_the_budget_to_the_group_that_needs_it(seed: int) -> None:
    """All that may go from the useless group goes; the control, which shrinks both alike, would keep three there."""
    assert search(toy.problem(toy.UNEVEN, inherited=False), seed).architecture.counts() == {"left": 5, "right": 1}


def followed(**settings: Any) -> list[float]:
    """The cost as a share of its target after each epoch."""
    records: list[Any] = []
    search(toy.problem(toy.HEAVY, log=records.append), **settings)
    return [record["cost"] / record["target"] for record in records]


def test_without_ranks_the_cost_is_out_of_control() -> None:
    """The same search with raw importances falls through its target at once, as no importance is near the threshold."""
    assert min(followed(structure_learning_rate=0.01)) > 0.75
    assert min(followed(structure_learning_rate=0.01, normalise_ranks=False)) < 0.5


def test_the_scale_of_the_loss_does_not_matter() -> None:
    problem = toy.problem()
    tiny = replace(problem, loss=lambda output, batch: 2**-20 * problem.loss(output, batch))
    # A share of the optimiser's step is lost to its epsilon where gradients are tiny: hence the slow weights.
    slow = FIT.model_copy(update={"learning_rate": 0.001})
    costs: list[list[float]] = []
    for given in (problem, tiny):
        records: list[Any] = []
        search(replace(given, log=records.append), fit=slow)
        costs.append([record["cost"] for record in records])
    assert costs[0] == costs[1]
    assert len(set(costs[0])) > 2


def test_structure_has_an_optimiser_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant rate and no weight decay, whatever the weights have."""
    seen: list[dict[str, Any]] = []

    def spy(*arguments: Any, parameters: list[dict[str, Any]], **options: Any) -> Any:
        seen.extend(dict(group) for group in parameters)
        return fit(*arguments, parameters=parameters, **options)

    fit = dms.fit
    monkeypatch.setattr(dms, "fit", spy)
    training = FitSettings(epochs=2, learning_rate=0.02, weight_decay=0.1, schedule="cosine")
    search(toy.problem(), fit=training, structure_learning_rate=0.003)
    weights, structure = seen
    assert weights.keys() == {"params"}
    assert [tuple(parameter.shape) for parameter in structure.pop("params")] == [(2,)]
    assert structure == {"lr": 0.003, "weight_decay": 0.0, "constant": True}


@pytest.mark.parametrize("multiple", [2, 3])
def test_widths_are_multiples(multiple: int) -> None:
    found = search(toy.problem(share=0.7), multiple=multiple)
    assert all(count % multiple == 0 for count in found.architecture.counts().values())


def test_depth_is_searched_too() -> None:
    """Blocks that only add noise to a task without signal go first, being dear."""
    found = search(toy.deep_problem(0.15), structure_learning_rate=0.02)
    assert len(found.architecture.kept["blocks"]) < 3


def test_the_depth_stands_still_once_the_target_does() -> None:
    joint = dms._joint(toy.deep_problem(), dms.DmsSettings(fit=FIT, decay=0.5))
    assert joint.structure.freeze_depth_after == joint.steps == 0.5 * FIT.epochs * 4


def test_mixed_precision_trains() -> None:
    found = search(toy.problem(), fit=FIT.model_copy(update={"precision": "bf16-mixed"}))
    assert found.architecture == toy.best(toy.EVEN)
    assert found.weights["linear.weight"].dtype == torch.float32
