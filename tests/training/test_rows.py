"""Rows as batches: each once, evenly cut, the same for the same generator."""

from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.training.rows import anywhere, by_groups, in_order, shuffled

rows = st.integers(1, 60)
sizes = st.integers(1, 20)


def drawn(count: int, size: int, limit: int | None, seed: int) -> list[list[int]]:
    batches = shuffled(anywhere(count, size, limit), torch.Tensor.tolist)
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


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    sizes,
    st.integers(1, 4),
    st.integers(1, 5),
    st.one_of(st.none(), st.integers(1, 40)),
)
def test_by_groups_a_pass_has_the_rows_and_sizes_of_any_other(
    groups: list[int], size: int, window: int, lanes: int, limit: int | None
) -> None:
    starts, count = torch.tensor([0, *groups]).cumsum(0), sum(groups)
    order = by_groups(starts, size, window, lanes, limit)
    first, again, other = (list(order.draw(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1))
    wanted = anywhere(count, size, limit)
    assert [len(part) for part in first] == [len(part) for part in wanted.draw(torch.Generator())] == [len(part) for part in other]
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(list(wanted.draw(torch.Generator()))).tolist())
    assert [part.tolist() for part in first] == [part.tolist() for part in again]
    assert len(first) == order.length


def test_by_groups_a_run_leaves_a_window_before_it_begins_the_next_one() -> None:
    starts = torch.arange(0, 601, 10)  # 60 groups of 10 rows in windows of 5, in 3 runs of 4 windows
    batches = list(by_groups(starts, 10, 5, 3).draw(torch.Generator().manual_seed(0)))
    for lane in range(3):
        windows = [torch.cat(batches[lane::3][first : first + 5]) for first in range(0, 20, 5)]
        assert [len((rows // 10).unique()) for rows in windows] == [5] * 4
        assert all((rows[:10] // 10).unique().numel() > 1 for rows in windows)
