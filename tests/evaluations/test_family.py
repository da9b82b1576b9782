"""What every evaluation owes: the registry is read, so a new one is held to it unasked."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.training.score import first_batch
from tests.evaluations import ranking
from tests.tiny.parts.workloads.toy import WORKLOAD

FOUND: dict[str, Evaluation] = {name: registry.evaluation(name) for name in registry.known("evaluations")}
PAIRS = {"full_ranking": ranking.pair}
"""Of evaluations that are for other workloads than the toy one."""
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two toy models of different sizes, untrained, in training mode: an evaluation sets the mode that it needs."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "raw.json").write_text(json.dumps({"rows": 200, "rings": 3}))
    WORKLOAD.prepare(WORKLOAD.prepare_settings(), folder / "raw.json", folder / "prepared", torch.Generator().manual_seed(0))
    data = WORKLOAD.load(WORKLOAD.data_settings(batch_size=32), Path(folder / "prepared"), test=True)
    torch.manual_seed(0)
    teacher, student = (WORKLOAD.model(WORKLOAD.model_settings(width=width), data.sizes, None).train() for width in (16, 8))
    assert data.test is not None
    return Pair(WORKLOAD, teacher, student, data.test, first_batch(data.valid, CPU), CPU, data.train, data.valid)


@pytest.fixture(params=sorted(FOUND))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def evaluation(name: str) -> Evaluation:
    return FOUND[name]


@pytest.fixture
def pair(name: str, toy: Pair) -> Pair:
    return suited(name, toy)


def suited(name: str, toy: Pair) -> Pair:
    return PAIRS[name]() if name in PAIRS else toy


def run(evaluation: Evaluation, pair: Pair) -> dict[str, float]:
    return evaluation.run(pair, evaluation.settings(), torch.Generator().manual_seed(0))


def test_its_metrics_are_finite_numbers(evaluation: Evaluation, pair: Pair):
    found = run(evaluation, pair)
    assert found
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())


def test_it_names_the_same_metrics_every_time(evaluation: Evaluation, pair: Pair):
    assert list(run(evaluation, pair)) == list(run(evaluation, pair))


def test_it_leaves_the_models_as_they_are(evaluation: Evaluation, pair: Pair):
    before = [copy.deepcopy(model.state_dict()) for model in pair.models.values()]
    run(evaluation, pair)
    for state, model in zip(before, pair.models.values(), strict=True):
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
        assert all(weight.grad is None for weight in model.parameters())


def test_no_two_of_this_library_give_the_same_metric(toy: Pair):
    names = [name for name, found in registry.known("evaluations").items() if found.module.startswith("stillhouse.")]
    metrics = [metric for name in names for metric in run(FOUND[name], suited(name, toy))]
    assert len(metrics) == len(set(metrics))
