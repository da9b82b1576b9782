"""Sparse sums against a dense product, forward and backward."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.space.blueprint import declare, fixed
from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs._shared.sums import Aggregate, Sums


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6), st.integers(0, 20), st.booleans())
def test_they_equal_a_dense_product(seed: int, rows: int, columns: int, entries: int, weighted: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    row, column, label = (torch.randint(size, (entries,), generator=rng) for size in (rows, columns, 4))
    weights = torch.rand(4, dtype=torch.float64, generator=rng) if weighted else None
    values = weights[label] if weights is not None else torch.ones(entries, dtype=torch.float64)
    dense = torch.zeros(rows, columns, dtype=torch.float64).index_put((row, column), values, accumulate=True)
    table = torch.rand(columns, 3, dtype=torch.float64, generator=rng).requires_grad_()
    sums = Sums.of(row, column, (rows, columns), label)
    result = sums(table, weights)
    assert torch.allclose(result, dense @ table)
    gradient = torch.rand(rows, 3, dtype=torch.float64, generator=rng)
    assert torch.allclose(torch.autograd.grad(result, table, gradient)[0], dense.T @ gradient)
    assert sums.entries == entries


def test_their_additions_are_counted() -> None:
    sums = Sums.of(torch.tensor([0, 0, 2]), torch.tensor([1, 0, 1]), (3, 2))
    layer = declare(Aggregate(), {}, (fixed(5),))
    assert total(macs(layer, lambda: layer(torch.ones(2, 5), sums))) == 3 * 5
