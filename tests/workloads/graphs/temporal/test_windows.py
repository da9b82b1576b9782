"""Windows as rows of a table, on examples worked by hand."""

from __future__ import annotations

from dataclasses import replace

import torch

from stillhouse.workloads.graphs.temporal.windows import Slots
from tests.workloads.graphs.temporal.graphs import random_batch


def slots(window: list[int]) -> Slots:
    """The slots of nodes in these windows."""
    batch = random_batch(0, len(window), 1, 1)
    return Slots.of(replace(batch, window=torch.tensor(window), windows=max(window) + 1))


def test_windows_of_one_size_in_order_are_only_viewed() -> None:
    value = torch.arange(4.0).view(1, 4, 1)
    table = slots([0, 0, 1, 1]).spread(value)
    assert table.data_ptr() == value.data_ptr()
    assert table[0, :, :, 0].tolist() == [[0, 1], [2, 3]]


def test_others_are_filled_up() -> None:
    found, value = slots([1, 0, 1, 1]), torch.arange(4.0).view(1, 4, 1)
    table = found.spread(value, -1.0)
    assert table[0, :, :, 0].tolist() == [[1, -1, -1], [0, 2, 3]]
    assert torch.equal(found.gather(table), value)


def test_the_highest_are_chosen_in_each_window_and_step() -> None:
    score = torch.tensor([[5.0, 1.0, 7.0, 6.0], [-1.0, -9.0, -3.0, -2.0]])
    assert slots([1, 0, 1, 1]).highest(score, 2).tolist() == [[[1, 1], [2, 3]], [[1, 1], [0, 3]]]
    assert slots([0, 0, 1, 1]).highest(score, 3).tolist() == [[[0, 1, 1], [2, 3, 3]], [[0, 1, 1], [3, 2, 2]]]
