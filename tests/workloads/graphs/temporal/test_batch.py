"""Batches: what holds at a step, the histories of edges, the way back to raw values."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from stillhouse.workloads.graphs.temporal.batch import ABSENT, Batch, thinned
from tests.workloads.graphs.temporal.graphs import random_batch
from tests.workloads.graphs.temporal.networks import series_of


def by_hand() -> Batch:
    """3 nodes and 4 steps: 0 -> 1 at steps 0, 1 and 3, 1 -> 2 at step 1, 2 -> 2 at steps 2 and 3 with the weight 0 in the end."""
    return replace(
        random_batch(0, 3, 4, 1),
        edges=torch.tensor([[0, 1, 2], [1, 2, 2]]),
        weight=torch.tensor([0.5, 0.25, 1.0, 0.75, 0.0, 0.125], dtype=torch.float64),
        pair=torch.tensor([0, 1, 0, 2, 2, 0]),
        starts=(0, 1, 3, 4, 6),
    )


def test_edge_histories_by_hand() -> None:
    expected = [[0.5, 1.0, ABSENT, 0.125], [ABSENT, 0.25, ABSENT, ABSENT], [ABSENT, ABSENT, 0.75, 0.0]]
    assert by_hand().edge_history().tolist() == expected
    assert (by_hand().edge_history() != ABSENT).sum() == 6


def test_the_edges_of_a_step_by_hand() -> None:
    found = [(edges.T.tolist(), weight.tolist()) for edges, weight in map(by_hand().at, range(4))]
    assert found == [([[0, 1]], [0.5]), ([[1, 2], [0, 1]], [0.25, 1.0]), ([[2, 2]], [0.75]), ([[2, 2], [0, 1]], [0.0, 0.125])]


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("static", [False, True])
def test_edge_histories_of_random_graphs(static: bool, windows: int) -> None:
    batch = random_batch(3, 6, 5, 1, static, windows)
    naive = series_of(batch)
    assert len(naive) == batch.edges.shape[1]
    assert batch.static is static
    for pair, row in zip(batch.edges.T.tolist(), batch.edge_history(), strict=True):
        assert torch.equal(row, torch.stack(naive[tuple(pair)]))


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_edges_that_go_are_those_that_are_drawn_and_all_else_stays(share: float) -> None:
    batch, seed = by_hand(), 1
    stays = (torch.rand(6, generator=torch.Generator().manual_seed(seed)) >= share).tolist()
    expected, place = [], iter(stays)
    for edges, weight in map(batch.at, range(4)):
        kept = [next(place) for _ in weight]
        expected.append([row for row, stay in zip(zip(edges.T.tolist(), weight.tolist(), strict=True), kept, strict=True) if stay])
    found = thinned(share, batch, torch.Generator().manual_seed(seed))
    rows = [list(zip(edges.T.tolist(), weight.tolist(), strict=True)) for edges, weight in map(found.at, range(4))]
    assert rows == expected
    assert found.edges.shape[1] == len({tuple(edge) for step in expected for edge, _ in step})


def test_a_static_pair_goes_with_its_weight() -> None:
    batch = random_batch(3, 6, 5, 1, True)
    found = thinned(0.5, batch, torch.Generator().manual_seed(0))
    whole = dict(zip(map(tuple, batch.edges.T.tolist()), batch.weight.tolist(), strict=True))
    left = dict(zip(map(tuple, found.edges.T.tolist()), found.weight.tolist(), strict=True))
    assert 0 < len(left) < len(whole)
    assert left.items() <= whole.items()
    assert found.static


def test_there_may_be_no_edges() -> None:
    assert random_batch(0, 3, 4, 1, density=0.0).edge_history().shape == (0, 4)


@pytest.mark.parametrize("log", [False, True])
def test_raw_values_come_back(log: bool) -> None:
    raw = torch.tensor([[0.0, 3.0], [10.0, 500.0]], dtype=torch.float64)
    unit = torch.tensor([[2.0, 1.0], [4.0, 0.5]], dtype=torch.float64)
    batch = replace(random_batch(0, 2, 4, 2), unit=unit, log=log)
    scaled = ((raw.log1p() if log else raw) - unit[0]) / unit[1]
    assert torch.allclose(batch.raw(scaled), raw, rtol=0, atol=1e-10)


@pytest.mark.parametrize("static", [False, True])
def test_all_of_it_moves_and_nothing_else_changes(static: bool) -> None:
    batch = replace(random_batch(0, 4, 3, 2, static), absolute=True, log=True)
    moved = batch.to(torch.device("meta"))
    for item in fields(Batch):
        value, other = getattr(batch, item.name), getattr(moved, item.name)
        if isinstance(value, Tensor):
            assert (other.device.type, other.shape, other.dtype) == ("meta", value.shape, value.dtype)
        else:
            assert other == value
