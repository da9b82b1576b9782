from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from stages.core.candidate import candidate, magnitudes
from stages.core.fit import FitSettings
from stages.core.space import extract, full, groups_of
from tests.core.networks import Mixed
from tests.searches import toy


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
