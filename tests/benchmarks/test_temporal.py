"""What the temporal-graph benchmarks compare with: floors by hand, controls, and random batches of the sizes they claim."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import _temporal_graph, dyncsl, temporal_speed
from benchmarks._floors import FORECASTS
from stillhouse.workloads.graphs.temporal import WORKLOAD


@pytest.fixture
def trend(tmp_path):
    """Three nodes whose values rise by 1, 2 and 3 a step, so that a linear map is exact and the others are not."""
    series = torch.arange(30.0)[:, None] * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([0.0, 5.0, 9.0])
    value = {"FX": series.tolist(), "edges": [[0, 1], [1, 2]]}
    (tmp_path / "trend.json").write_text(json.dumps(value))
    WORKLOAD.prepare(WORKLOAD.prepare_settings(window=5), tmp_path / "trend.json", tmp_path / "out", torch.Generator())
    return WORKLOAD.load(WORKLOAD.data_settings(), tmp_path / "out", test=True)


def test_floors_by_hand(trend):
    found = {name: floor(trend)["mae"] for name, floor in FORECASTS.items()}
    assert found["last_value"] == pytest.approx(2, rel=1e-5)
    assert found["moving_average"] == pytest.approx(3 * 2, rel=1e-5)
    assert found["moving_average_3"] == pytest.approx(2 * 2, rel=1e-5)
    assert found["linear"] < 1e-3
    assert found["linear_pooled"] < 1e-3


def test_models_of_equal_size_are_of_equal_size():
    sizes = {"channels": 1, "outputs": 1, "classes": 0, "steps": 6, "static": 0}
    models = {name: {"family": name} for name in ("gcrn", "dcrnn", "evolvegcn_o", "time_then_graph")}
    sized = _temporal_graph.of_equal_size(models, sizes, 3000)
    assert all(abs(_temporal_graph.count(model, sizes) - 3000) < 300 for model in sized.values())


@pytest.mark.parametrize("pairs", [500, 129 * 129])
def test_a_random_batch_has_the_edges_that_it_says(pairs):
    batch = temporal_speed.random_batch(6, 400, pairs, torch.Generator().manual_seed(0))
    assert all(batch.at(step)[0].unique(dim=1).shape[1] == 400 for step in range(6))
    assert batch.edges.shape[1] <= pairs
    assert (batch.edges[0] != batch.edges[1]).all()


def test_the_controls_see_the_union_and_no_history():
    batch = temporal_speed.random_batch(6, 400, 500, torch.Generator().manual_seed(0))
    assert dyncsl._counts(batch).sum() * 6 == pytest.approx(6 * 400)
    assert set(dyncsl._ones(batch).tolist()) == {1.0}
