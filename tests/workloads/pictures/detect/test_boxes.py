"""Boxes against loops over single ones, and against values by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.workloads.pictures.detect.boxes import area, from_offsets, from_sides, generalised_overlap, offsets, overlap, sides
from stillhouse.workloads.pictures.detect.cells import cells_of

sizes = st.integers(0, 6)


def random_boxes(count: int, seed: int, least: float = 0.0) -> Tensor:
    """(count, 4) on a grid, so that edges meet; double precision."""
    rng = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 12, (count, 2), generator=rng).double()
    return torch.cat((corner, corner + torch.randint(0, 8, (count, 2), generator=rng) + least), 1)


def naive_overlap(one: list[float], two: list[float]) -> tuple[float, float, float]:
    """Shared area, area of the union, area of the hull."""
    width = max(0.0, min(one[2], two[2]) - max(one[0], two[0]))
    height = max(0.0, min(one[3], two[3]) - max(one[1], two[1]))
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)) - width * height
    hull = (max(one[2], two[2]) - min(one[0], two[0])) * (max(one[3], two[3]) - min(one[1], two[1]))
    return width * height, union, hull


@given(sizes, sizes, st.integers(0, 10**6))
def test_overlap_is_that_of_each_pair(first: int, second: int, seed: int) -> None:
    ours, theirs = random_boxes(first, seed), random_boxes(second, seed + 1)
    want = torch.zeros(first, second, dtype=torch.float64)
    for row, one in enumerate(ours.tolist()):
        for column, two in enumerate(theirs.tolist()):
            shared, union, _ = naive_overlap(one, two)
            want[row, column] = shared / union if union else 0.0
    torch.testing.assert_close(overlap(ours, theirs), want, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 6), st.integers(0, 10**6))
def test_generalised_overlap_is_that_of_each_pair(count: int, seed: int) -> None:
    ours, theirs = random_boxes(count, seed, 1.0), random_boxes(count, seed + 1, 1.0)
    parts = [naive_overlap(one, two) for one, two in zip(ours.tolist(), theirs.tolist(), strict=True)]
    want = torch.tensor([shared / union - (hull - union) / hull for shared, union, hull in parts], dtype=torch.float64)
    torch.testing.assert_close(generalised_overlap(ours, theirs), want, rtol=1e-12, atol=1e-12)


def test_values_by_hand() -> None:
    """A square of 2, one moved by 1 to the right, one far away."""
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [10, 0, 12, 2]])
    assert area(boxes).tolist() == [4, 4, 4]
    assert overlap(boxes[:1], boxes)[0].tolist() == pytest.approx([1, 2 / 6, 0])
    assert generalised_overlap(boxes[:1].expand(3, 4), boxes).tolist() == pytest.approx([1, 1 / 3, -(24 - 8) / 24])


def test_boxes_apart_are_pulled_together() -> None:
    """Where boxes do not overlap, the plain overlap has no gradient and the generalised one has."""
    box = torch.tensor([[10.0, 0, 12, 2]], requires_grad=True)
    (gradient,) = torch.autograd.grad(generalised_overlap(box, torch.tensor([[0.0, 0, 2, 2]])).sum(), box)
    assert gradient[0, 0] < 0


def test_boxes_without_extent_do_no_harm() -> None:
    flat = torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 4]], requires_grad=True)
    assert overlap(flat, flat).tolist() == [[0, 0], [0, 0]]
    value = generalised_overlap(flat, flat.detach()).sum()
    value.backward()
    assert value.isfinite()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


@given(st.integers(1, 6), st.integers(0, 10**6))
def test_offsets_and_sides_have_inverses(count: int, seed: int) -> None:
    boxes, anchors = random_boxes(count, seed, 0.5), random_boxes(count, seed + 1, 0.5)
    torch.testing.assert_close(from_offsets(offsets(boxes, anchors), anchors), boxes, rtol=1e-10, atol=1e-10)
    points = anchors[:, :2]
    torch.testing.assert_close(from_sides(sides(boxes, points), points), boxes, rtol=1e-12, atol=1e-12)


def test_offsets_by_hand() -> None:
    """An anchor of 4 by 8 around (4, 4); a box of 8 by 8 around (6, 5)."""
    value = offsets(torch.tensor([[2.0, 1, 10, 9]]), torch.tensor([[2.0, 0, 6, 8]]))
    assert value[0].tolist() == pytest.approx([0.5, 1 / 8, 0.6931472, 0])
    assert from_offsets(torch.tensor([[0.0, 0, 90, 0]]), torch.tensor([[0.0, 0, 1, 1]]))[0, 2] == pytest.approx(500.5)
    assert sides(torch.tensor([[2.0, 1, 10, 9]]), torch.tensor([[3.0, 5]]))[0].tolist() == [1, 4, 7, 4]


def test_cells_go_from_left_to_right_level_by_level() -> None:
    cells = cells_of([(torch.zeros(1, 7, 2, 3), 4), (torch.zeros(1, 7, 1, 1, dtype=torch.float16), 8)])
    assert cells.centre.tolist() == [[2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6], [4, 4]]
    assert cells.stride.tolist() == [4] * 6 + [8]
    assert cells.centre.dtype == torch.float32
