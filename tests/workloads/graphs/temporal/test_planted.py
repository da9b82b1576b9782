"""The planted series obeys its own equation, and who knows the edges foresees more."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.planted import Planted, generate


def made(**settings: object) -> Panel:
    return generate(Planted(generator="planted", **settings))  # type: ignore[arg-type]


def means(panel: Panel) -> Tensor:
    """(nodes, steps): the weighted mean over the neighbours of each step, from dense adjacency matrices."""
    nodes, steps = panel.features.shape[:2]
    adjacency = torch.zeros(steps, nodes, nodes, dtype=torch.float64)
    adjacency[panel.step, panel.target, panel.source] = panel.weight
    share = adjacency / adjacency.sum(2, keepdim=True).clamp(min=1e-300)
    return torch.einsum("tvu,ut->vt", share, panel.features[..., 0])


def test_what_remains_is_white_noise_of_the_wanted_size() -> None:
    panel = made(noise=0.7, steps=1000)
    series = panel.features[..., 0]
    rest = series[:, 1:] - 0.15 * series[:, :-1] - 0.8 * means(panel)[:, :-1]
    assert rest.std() == pytest.approx(0.7, rel=0.02)
    assert abs((rest[:, 1:] * rest[:, :-1]).mean() / rest.var()) < 0.02
    assert abs((rest[1:] * rest[:-1]).mean() / rest.var()) < 0.02


def error(predictors: list[Tensor], wanted: Tensor) -> float:
    """Mean square of what least squares leave."""
    columns = torch.stack([predictor.flatten() for predictor in predictors], 1)
    found = torch.linalg.lstsq(columns, wanted.reshape(-1, 1)).solution
    return float((wanted.flatten() - columns @ found[:, 0]).square().mean())


def test_edges_foresee_what_the_own_past_does_not() -> None:
    panel = made()
    series = panel.features[..., 0]
    past = [series[:, 11 - lag : -1 - lag] for lag in range(12)]
    with_edges = error([past[0], means(panel)[:, 11:-1]], series[:, 12:])
    assert with_edges == pytest.approx(1.0, rel=0.03)
    assert error(past, series[:, 12:]) > 1.3 * with_edges
    stale = error([past[0], means(panel)[:, 10:-2]], series[:, 12:])
    assert stale > 1.3 * with_edges


def test_the_series_is_stationary() -> None:
    panel = made(steps=2000)
    early, late = (part.var() for part in panel.features[..., 0].chunk(2, 1))
    assert early / late == pytest.approx(1.0, abs=0.1)


def test_edges_are_directed_come_and_go_and_have_no_loops() -> None:
    panel = made(nodes=30, degree=3, churn=0.2, steps=400)
    assert panel.features.shape == (30, 400, 1)
    assert not panel.static
    assert (panel.source != panel.target).all()
    assert ((panel.weight >= 0.5) & (panel.weight < 1.5)).all()
    pair = panel.source * 30 + panel.target
    assert len(pair.unique()) == 30 * 6
    present = torch.zeros(400, 900, dtype=torch.bool)
    present[panel.step, pair] = True
    present = present[:, pair.unique()]
    assert present.double().mean() * 6 == pytest.approx(3, rel=0.05)
    assert (present[1:] ^ present[:-1]).double().mean() == pytest.approx(0.2, rel=0.05)


def test_without_churn_the_same_edges_hold() -> None:
    panel = made(churn=0.0, steps=5)
    assert torch.equal(panel.source[panel.step == 0], panel.source[panel.step == 4])


def test_a_seed_says_everything() -> None:
    assert torch.equal(made().features, made().features)
    assert not torch.equal(made().features, made(seed=1).features)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"wanted own \+ neighbours less than 1 - got 1\.1"):
        made(own=0.3)
    with pytest.raises(ValidationError, match="wanted a degree less than half the 50 nodes - got 25"):
        made(degree=25)
