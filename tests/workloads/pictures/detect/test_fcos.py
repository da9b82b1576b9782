"""Which box a cell stands for, centre-ness and the loss, against loops over single cells and boxes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from stillhouse.workloads.pictures.detect.boxes import generalised_overlap
from stillhouse.workloads.pictures.detect.cells import Cells, cells_of
from stillhouse.workloads.pictures.detect.families.fcos import Pointed, PointShape, assign, centreness
from stillhouse.workloads.pictures.detect.focal import focal
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from tests.workloads.pictures.detect.test_boxes import random_boxes

MAPS = [(torch.zeros(1, 1, 5, 6, dtype=torch.float64), 2), (torch.zeros(1, 1, 3, 3, dtype=torch.float64), 4)]
MAPS += [(torch.zeros(1, 1, 2, 2, dtype=torch.float64), 8)]
SHAPE = PointShape(reach=2.0)


def naive_assign(shape: PointShape, cells: Cells, boxes: Tensor, real: list[bool]) -> list[int]:
    """The anchors or cells of one picture, each matched to a box or to none, by loops."""
    found, strides = [], sorted(set(cells.stride.tolist()))
    for (x, y), stride in zip(cells.centre.tolist(), cells.stride.tolist(), strict=True):
        least = 0.0 if stride == strides[0] else shape.reach * stride / 2
        most = math.inf if stride == strides[-1] else shape.reach * stride
        fitting = []
        for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
            reach = (x - left, y - top, right - x, bottom - y)
            near = max(abs((left + right) / 2 - x), abs((top + bottom) / 2 - y)) <= shape.radius * stride
            if real[number] and min(reach) > 0 and near and least < max(reach) <= most:
                fitting.append(((right - left) * (bottom - top), number))
        found.append(min(fitting)[1] if fitting else -1)
    return found


@given(st.integers(1, 5), st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([0.5, 1.5, 9.0]), st.integers(0, 10**6))
def test_assign_is_that_of_single_cells(most: int, reach: float, radius: float, seed: int) -> None:
    shape, cells = PointShape(reach=reach, radius=radius), cells_of(MAPS)
    boxes = torch.stack([random_boxes(most, seed + number, 1.0) for number in (1, 2, 3)])
    real = torch.rand(3, most, generator=torch.Generator().manual_seed(seed)) < 0.7
    want = [naive_assign(shape, cells, *pair) for pair in zip(boxes, real.tolist(), strict=True)]
    assert assign(shape, cells, boxes, real).tolist() == want


def test_a_box_belongs_to_the_level_of_its_size() -> None:
    """With a reach of 8 strides of 8, 16 and 32: to the first up to 64 pixels, to the second up to 128, else to the last."""
    cells = cells_of((torch.zeros(1, 1, 512 // stride, 512 // stride), stride) for stride in (8, 16, 32))
    for half, stride in ((5, 8), (30, 8), (70, 16), (200, 32)):
        box = torch.tensor([[[256.0 - half, 256 - half, 256 + half, 256 + half]]])
        found = assign(PointShape(), cells, box, torch.tensor([[True]]))[0] >= 0
        assert set(cells.stride[found].tolist()) == {stride}
        assert found.sum() == (4 if half == 5 else 16)


@pytest.mark.parametrize(("reach", "value"), [([3.0, 5, 3, 5], 1.0), ([1.0, 2, 4, 2], 0.5), ([1.0, 1, 4, 9], 1 / 6), ([0.0, 1, 4, 9], 0.0)])
def test_centreness_by_hand(reach: list[float], value: float) -> None:
    assert centreness(torch.tensor(reach)).item() == pytest.approx(value)


def made(seed: int, pictures: int = 2, classes: int = 3) -> DetectorOutput:
    """Random numbers for the cells of three levels."""
    cells, rng = cells_of(MAPS), torch.Generator().manual_seed(seed)
    shapes = [(pictures, len(cells.stride), *rest) for rest in ((classes,), (4,), ())]
    logits, boxes, centre = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes)
    return DetectorOutput(logits, "values", box=0.3 * boxes, centre=centre, cells=cells, extent=(10, 12), interpretation=Pointed(SHAPE))


def naive_loss(said: DetectorOutput, boxes: Tensor, label: Tensor) -> float:
    classes = middle = error = weight = 0.0
    count = 0
    assert said.centre is not None
    for picture, (box, kind) in enumerate(zip(boxes, label, strict=True)):
        for place, matched in enumerate(naive_assign(SHAPE, said.cells, box, (kind >= 0).tolist())):
            wanted = [float(matched >= 0 and kind[matched] == number) for number in range(said.prediction.shape[2])]
            classes += focal(said.prediction[picture, place], torch.tensor(wanted, dtype=torch.float64)).sum().item()
            if matched < 0:
                continue
            (x, y), stride = said.cells.centre[place].tolist(), said.cells.stride[place].item()
            left, top, right, bottom = box[matched].tolist()
            across, down = sorted((x - left, right - x)), sorted((y - top, bottom - y))
            near = math.sqrt(across[0] / across[1] * down[0] / down[1])
            reach = [stride * math.exp(value) for value in said.box[picture, place].tolist()]
            own = torch.tensor([x - reach[0], y - reach[1], x + reach[2], y + reach[3]], dtype=torch.float64)
            error += near * (1 - generalised_overlap(own, box[matched]).item())
            target = torch.tensor(near, dtype=torch.float64)
            middle += binary_cross_entropy_with_logits(said.centre[picture, place], target).item()
            weight, count = weight + near, count + 1
    return (classes + middle) / max(count, 1) + error / max(weight, 1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_loss_is_the_sum_over_single_cells(seed: int) -> None:
    said = made(seed)
    boxes = torch.stack([random_boxes(3, seed + number, 2.0) for number in (1, 2)])
    label = torch.tensor([[0, 2, 1], [1, -1, -1]])
    assert said.interpretation.loss(said, boxes, label).item() == pytest.approx(naive_loss(said, boxes, label), rel=1e-10)


def test_pictures_without_boxes_are_background() -> None:
    said = made(0)
    value = said.interpretation.loss(said, torch.zeros(2, 1, 4), torch.full((2, 1), -1))
    assert value.item() == pytest.approx(focal(said.prediction, torch.zeros_like(said.prediction)).sum().item(), rel=1e-12)


def test_scores_are_geometric_means_and_boxes_lie_around_their_cells() -> None:
    said = made(1)
    assert said.centre is not None
    want = (said.prediction[1, 7, 2].sigmoid() * said.centre[1, 7].sigmoid()).sqrt()
    assert said.interpretation.score(said)[1, 7, 2].item() == pytest.approx(want.item())
    place = torch.tensor([[0, 31], [2, 40]])
    found = said.interpretation.boxes(said, place)
    x, y, reach = *said.cells.centre[40].tolist(), (8 * said.box[1, 40].exp()).tolist()
    assert found[1, 1].tolist() == pytest.approx([x - reach[0], y - reach[1], x + reach[2], y + reach[3]])
