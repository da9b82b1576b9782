from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches import dms
from stillhouse.space.blueprint import Group
from stillhouse.space.extraction import extract
from stillhouse.space.structure import Structure, resource_loss
from stillhouse.training.fit import FitSettings
from tests.searches import toy
from tests.searches.test_family import Adapted, same

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


STILL = {"structure_only": True, "structure_learning_rate": 0.02}
"""The structure alone is searched."""


@pytest.mark.parametrize("seed", [0, 1])
def test_the_structure_alone_finds_the_inputs_of_a_trained_network(seed: int) -> None:
    assert search(toy.problem(), seed, **STILL).architecture == toy.best(toy.EVEN)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_no_weight_moves_where_the_structure_alone_is_searched(optimizer: str) -> None:
    """Whatever the optimiser would do to it. Batch norms take the statistics of the cut network."""
    problem = toy.deep_problem()
    torch.manual_seed(0)
    supernet = problem.supernet()
    training = FIT.model_copy(update={"epochs": 3, "weight_decay": 0.1, "optimizer": optimizer})
    (found,) = dms.run(
        replace(problem, supernet=lambda: supernet), dms.DmsSettings(**STILL, fit=training), torch.Generator().manual_seed(0)
    )
    torch.manual_seed(0)
    before = extract(problem.supernet(), found.architecture)
    assert found.weights is not None
    names = [name for name, _ in problem.static(found.architecture).named_parameters()]
    assert all(torch.equal(found.weights[name], before[name]) for name in names)
    assert not any(parameter.grad is not None for parameter in supernet.parameters())


def test_the_structure_alone_is_trained_beside_the_adapters_of_losses() -> None:
    asked: list[Adapted] = []
    problem = replace(toy.deep_problem(), lesson=lambda network: Adapted(asked))
    joint = dms._joint(problem, dms.DmsSettings(**STILL, fit=FIT))
    adapters, structure = (group["params"] for group in joint.parameters())
    assert [id(parameter) for parameter in adapters] == [id(asked[0].scale)]
    assert [id(parameter) for parameter in structure] == [id(joint.structure.ratio)]


def test_an_interrupted_search_of_the_structure_alone_goes_on(tmp_path: Path) -> None:
    def interrupt(record: Mapping[str, Any]) -> None:
        if record.get("epoch") == 2:
            raise KeyboardInterrupt

    training = FIT.model_copy(update={"epochs": 4})
    problem = replace(toy.deep_problem(), scratch=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        search(replace(problem, log=interrupt), fit=training, **STILL)
    same([search(problem, fit=training, **STILL)], [search(toy.deep_problem(), fit=training, **STILL)])


def test_a_step_of_the_structure_by_hand() -> None:
    """Four elements at a pruned share of a quarter, a task of gradients 0.1 to 0.4, and a cost of 10 for each element against 20."""
    structure = Structure((Group("width", 4),)).double()
    structure.importance.copy_(1e-30 * torch.tensor([1.0, 2, 3, 4]))
    structure.updates += 1
    structure.ratio.data.fill_(0.25)
    masks, counts = structure()
    (masks["width"] @ torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)).backward(retain_graph=True)
    assert structure.ratio.grad is not None
    assert structure.ratio.grad.item() == pytest.approx(-0.5731461436)
    assert counts["width"].item() == 3
    excess = resource_loss(10 * counts["width"], torch.tensor(20.0, dtype=torch.float64))
    assert excess.item() == pytest.approx(0.4054651081)
    (of_cost,) = torch.autograd.grad(excess, structure.ratio)
    assert of_cost.item() == pytest.approx(-0.9190101240)
    structure.update()
    wanted = [1.425369566e-5, 1.549822476e-4, 6.015852217e-4, 1.366460966e-3]
    assert structure.importance.tolist() == pytest.approx(wanted)
