"""Rows as batches: each once, evenly cut, the same for the same generator."""

from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.training.rows import anywhere, in_order, shuffled

rows = st.integers(1, 60)
sizes = st.integers(1, 20)


def drawn(count: int, size: int, limit: int | None, seed: int) -> list[list[int]]:
    batches = shuffled(anywhere(count, size, limit), lambda chosen, drawn: chosen.tolist())
    found = list(batches.draw(torch.Generator().manual_seed(seed)))
    assert len(found) == batches.length
    return found


@given(rows, sizes, st.integers(0, 9))
def test_a_pass_has_each_row_once_in_batches_of_nearly_one_size(count: int, size: int, seed: int) -> None:
    found = drawn(count, size, None, seed)
    assert sorted(chain(*found)) == list(range(count))
    assert max(map(len, found)) <= size
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert drawn(count, size, None, seed) == found


@given(rows, sizes, st.integers(1, 80))
def test_a_limit_takes_rows_from_everywhere(count: int, size: int, limit: int) -> None:
    taken = sorted(chain(*drawn(count, size, limit, 0)))
    assert len(taken) == min(limit, count)
    gaps = [after - before for before, after in zip(taken, [*taken[1:], count], strict=True)]
    assert taken[0] == 0
    assert max(gaps) - min(gaps) <= 1


@given(rows, sizes)
def test_in_order_nothing_is_drawn(count: int, size: int) -> None:
    batches = in_order(count, size, torch.Tensor.tolist)
    found = list(batches.draw(torch.Generator()))
    assert (list(chain(*found)), len(found)) == (list(range(count)), batches.length)
    assert all(len(batch) == size for batch in found[:-1])
