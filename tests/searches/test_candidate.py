from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.searches._candidate import candidate, magnitudes
from stillhouse.space.blueprint import Architecture, full, groups_of
from stillhouse.space.extraction import extract
from stillhouse.training.fit import FitSettings
from tests.searches import toy
from tests.space.networks import Mixed


def test_magnitude_of_one_layer_is_the_norm_over_its_root_mean_square() -> None:
    model = toy.problem().supernet()
    weight = model.linear.weight.detach()[0]
    expected = weight.abs() / weight.square().mean().sqrt()
    found = magnitudes(model, groups_of(model))
    torch.testing.assert_close(torch.cat([found["left"], found["right"]]), expected)


def test_magnitudes_do_not_depend_on_the_scale_of_a_layer() -> None:
    model = Mixed()
    before = magnitudes(model, groups_of(model))
    model.merge.weight.data *= 1000
    after = magnitudes(model, groups_of(model))
    for name, values in before.items():
        torch.testing.assert_close(after[name], values)


def test_an_element_without_weights_is_the_least() -> None:
    model = Mixed()
    hidden = model.blocks["1"]
    hidden.first.weight.data[4] = 0
    hidden.second.weight.data[:, 4] = 0
    found = magnitudes(model, groups_of(model))
    assert found["hidden1"].argmin() == 4
    assert found["hidden1"][4] == 0
    assert torch.equal(found["blocks"], torch.zeros(3))


def test_a_candidate_trains_only_if_asked_to() -> None:
    records: list[Any] = []
    problem = toy.problem(toy.UNEVEN, inherited=False)
    problem = replace(problem, log=records.append)
    everything = full(problem.groups)
    supernet = problem.supernet()
    weights = extract(supernet, everything)
    still = candidate(problem, everything, weights, torch.Generator())
    assert still.metrics == problem.validate(supernet)
    assert records == []
    trained = candidate(problem, everything, weights, torch.Generator(), training=FitSettings(epochs=3, learning_rate=0.05))
    assert trained.metrics["explained"] > still.metrics["explained"] + 0.1
    assert [record["epoch"] for record in records] == [1, 2, 3]


class Normed(nn.Module):
    """A linear map of the inputs that are kept, a dropout that would disturb it, a batch norm of it and the sum of that."""

    def __init__(self, kept: tuple[int, ...]) -> None:
        super().__init__()
        self.kept, self.first, self.norm = list(kept), nn.Linear(len(kept), 3), nn.BatchNorm1d(3, momentum=0.2)
        self.noise = nn.Dropout(0.5)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.norm(self.first(self.noise(values[:, self.kept]))).sum(-1)


def normed_problem() -> Any:
    """Its networks keep statistics; all batches have one size, and a pass has fewer of them than are looked at."""
    return replace(
        toy.problem(),
        static=lambda architecture: Normed(architecture.kept["left"]),
        apply=lambda model, batch: Output(model(batch[0]), "values"),
    )


def test_norms_of_a_cut_network_have_the_statistics_of_its_own_sums() -> None:
    problem, model = normed_problem(), Normed((0, 2, 3))
    architecture = Architecture({"left": (0, 2, 3), "right": (0,)})
    model.norm.running_mean += 7
    trial = candidate(problem, architecture, model.state_dict(), torch.Generator())
    assert trial.weights is not None
    rows = torch.cat([batch[0] for batch in problem.data.train.draw(torch.Generator())])
    sums = model.first(rows[:, [0, 2, 3]])
    torch.testing.assert_close(trial.weights["norm.running_mean"], sums.mean(0))
    torch.testing.assert_close(trial.weights["norm.running_var"], sums.var(0), rtol=0.1, atol=0)
    assert torch.equal(trial.weights["first.weight"], model.first.weight)
    assert torch.equal(trial.weights["norm.weight"], model.norm.weight)


def test_norms_of_a_candidate_that_trains_are_those_of_its_training() -> None:
    problem, model = normed_problem(), Normed((0, 2, 3))
    architecture = Architecture({"left": (0, 2, 3), "right": (0,)})
    trial = candidate(problem, architecture, model.state_dict(), torch.Generator(), training=FitSettings(epochs=1, learning_rate=1e-3))
    assert trial.weights is not None
    assert trial.weights["norm.num_batches_tracked"] == problem.data.train.length


def test_a_candidate_without_norms_draws_nothing() -> None:
    problem, rng = toy.problem(toy.UNEVEN), torch.Generator().manual_seed(5)
    before = rng.get_state()
    candidate(problem, full(problem.groups), problem.supernet().state_dict(), rng)
    assert torch.equal(rng.get_state(), before)
