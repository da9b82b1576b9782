"""Sums over edges against dense products, forward and backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.adjacency import Adjacency, Aggregate, Edges, inverse
from tests.workloads.graphs.temporal.graphs import dense, random_batch, shuffled


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.sampled_from([0.0, 0.3, 1.0]))
def test_they_equal_dense_products(seed: int, nodes: int, steps: int, windows: int, static: bool, density: float) -> None:
    batch = shuffled(random_batch(seed, nodes, steps, 2, static, windows, density=density), seed)
    table = batch.history.transpose(0, 1).contiguous().requires_grad_()
    adjacency, layer = Adjacency(Edges.of(batch)), Aggregate()
    expected = torch.stack([dense(batch, step).T @ table[step] for step in range(steps)])
    single = torch.stack([layer(table[step], adjacency, step) for step in range(steps)])
    gradient = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    (wanted,) = torch.autograd.grad(expected, table, gradient)
    for result in (layer(table, adjacency), single):
        assert torch.allclose(result, expected, atol=1e-12)
        assert torch.allclose(torch.autograd.grad(result, table, gradient)[0], wanted, atol=1e-12)


@pytest.mark.parametrize("static", [False, True])
def test_their_additions_are_counted(static: bool) -> None:
    batch, layer = random_batch(0, 6, 3, 2, static), Aggregate()
    adjacency, table = Adjacency(Edges.of(batch)), batch.history.transpose(0, 1)
    of_step = [len(batch.at(step)[1]) for step in range(3)]
    assert total(macs(layer, lambda: layer(table, adjacency))) == 2 * sum(of_step)
    for step in range(3):
        assert total(macs(layer, lambda step=step: layer(table[step], adjacency, step))) == 2 * of_step[step]


def test_an_inverse_of_nothing_is_nothing() -> None:
    assert inverse(torch.tensor([0.0, 4.0])).tolist() == [0, 0.25]
