from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem, Trial
from stillhouse.searches import random
from stillhouse.training.fit import FitSettings
from tests.searches import toy

TOY = {"draws": 6, "band": 0.1}
"""Settings for the toy problems of the family's tests."""


def run(problem: Problem[Any], seed: int = 0, **settings: Any) -> list[Trial]:
    torch.manual_seed(seed)
    chosen = random.RandomSettings(**({"fit": FitSettings(epochs=6, learning_rate=0.02), "draws": 6} | settings))
    return list(random.run(problem, chosen, torch.Generator().manual_seed(seed)))


def test_one_trial_a_draw_and_they_differ() -> None:
    found = run(toy.deep_problem(), band=0.1)
    assert len({trial.architecture.to_json() for trial in found}) > 3
    assert len({trial.architecture.kept["blocks"] for trial in found}) > 2


def test_draws_stay_in_the_band() -> None:
    problem = toy.deep_problem(0.5)
    assert all(0.97 * problem.budget <= trial.cost <= problem.budget for trial in run(problem, band=0.03))


def test_epochs_are_shared_by_the_draws() -> None:
    records: list[Any] = []
    run(toy.problem(log=records.append), draws=3)
    assert sum("epoch" in record for record in records) == 6
    assert {record["epochs"] for record in records if "epochs" in record} == {2}


def test_epochs_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"fit\.epochs should be a multiple of draws.*got 6 and 4"):
        run(toy.problem(), draws=4)


def test_an_empty_band_is_refused() -> None:
    with pytest.raises(UserError, match="100 draws gave no network that costs between"):
        run(toy.problem(share=0.54), band=0.001)


def test_another_seed_other_draws() -> None:
    first, second = (run(toy.deep_problem(), seed, band=0.1) for seed in (0, 1))
    assert [trial.architecture for trial in first] != [trial.architecture for trial in second]
