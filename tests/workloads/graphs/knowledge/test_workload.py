"""The workload as the verbs see it: every family is built from plain settings, predicts for a batch, and learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.output import Output
from stillhouse.space.blueprint import full, groups_of
from stillhouse.training.precision import mixed
from stillhouse.training.score import score
from stillhouse.workloads.graphs.knowledge import WORKLOAD
from stillhouse.workloads.graphs.knowledge.graph import Batch

FAMILIES = [
    {"family": "isdea", "width": 6, "layers": 2},
    {"family": "isdea", "width": 6, "layers": 2, "residual": True},
    {"family": "isdea_plus", "width": 16, "layers": 2},
    {"family": "isdea_marked", "width": 6, "layers": 2},
]


def settings(block: dict[str, object]) -> object:
    """As read from params.yaml."""
    return TypeAdapter(WORKLOAD.model_settings).validate_python(block)


def scored(values: list[Tensor], batches: list[Batch]) -> Metrics:
    return WORKLOAD.score((Output(value, "candidates"), batch) for value, batch in zip(values, batches, strict=True))


@pytest.fixture
def data(tmp_path: Path) -> Data[Batch]:
    (tmp_path / "diagram.json").write_text(json.dumps({"generator": "family_diagram_2", "depth": 4}))
    facts = WORKLOAD.prepare(WORKLOAD.prepare_settings(), tmp_path / "diagram.json", tmp_path / "out", torch.Generator().manual_seed(0))
    assert facts["train_nodes"] == 31
    return WORKLOAD.load(WORKLOAD.data_settings(), tmp_path / "out", test=True)


@pytest.mark.parametrize("block", FAMILIES)
def test_every_family_predicts_learns_and_is_scored(data: Data[Batch], block: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = WORKLOAD.model(settings(block), data.sizes, None)
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for seed in range(40):
        for batch in data.train.draw(torch.Generator().manual_seed(seed)):
            output = WORKLOAD.apply(model, batch)
            assert output.prediction.shape == batch.triples.shape[:2]
            value = WORKLOAD.loss(output, batch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])
    assert data.test is not None
    assert set(score(WORKLOAD, model, data.test)) > {"mixed_mrr", "node_hits@10", "relation_hits@1"}
    static = WORKLOAD.model(settings(block), data.sizes, full(groups_of(model)))
    static.load_state_dict(model.state_dict())
    assert torch.equal(*(WORKLOAD.apply(one.eval(), batch).prediction for one in (model, static)))


def test_a_perfect_prediction_scores_best(data: Data[Batch]) -> None:
    batches = list(data.valid.draw(torch.Generator()))
    rng = torch.Generator().manual_seed(0)
    noise = [torch.rand(batch.triples.shape[:2], generator=rng) for batch in batches]
    perfect = [value + 2 * (torch.arange(value.shape[1]) == 0) for value in noise]
    best, other = (scored(values, batches) for values in (perfect, noise))
    assert set(best.values()) == {1.0}
    assert all(other[name] < 1 for name in best)
    assert next(iter(best)) == "mixed_mrr"
    assert WORKLOAD.higher_is_better


def test_an_unknown_family_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValidationError, match="'isdea', 'isdea_marked', 'isdea_plus', 'module'"):
        settings({"family": "transe"})


@pytest.mark.parametrize("block", FAMILIES)
def test_every_family_runs_in_mixed_precision(data: Data[Batch], block: dict[str, object]) -> None:
    torch.manual_seed(0)
    model, batch = WORKLOAD.model(settings(block), data.sizes, None), next(data.train.draw(torch.Generator().manual_seed(0)))
    plain = WORKLOAD.apply(model, batch).prediction
    with mixed(torch.device("cpu"), "bf16-mixed"):
        output = WORKLOAD.apply(model, batch)
        value = WORKLOAD.loss(output, batch)
    value.backward()
    assert (output.prediction - plain).abs().max() < 0.2
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)
