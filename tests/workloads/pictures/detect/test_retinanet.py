"""Anchors, which box they stand for, and their loss, against loops over single anchors and boxes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures.detect.boxes import from_offsets, generalised_overlap, offsets, overlap
from stillhouse.workloads.pictures.detect.cells import cells_of
from stillhouse.workloads.pictures.detect.families.retinanet import BACKGROUND, NEITHER, Anchored, AnchorShape, match
from stillhouse.workloads.pictures.detect.focal import focal
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from tests.workloads.pictures.detect.families import FAMILIES, builder
from tests.workloads.pictures.detect.test_boxes import random_boxes

SHAPE = AnchorShape(sizes=(2.0, 3.0), ratios=(0.5, 1.0))
MAPS = [(torch.zeros(1, 1, 3, 4, dtype=torch.float64), 4), (torch.zeros(1, 1, 2, 2, dtype=torch.float64), 8)]


def test_anchors_by_hand() -> None:
    """Four in each cell: of 2 and 3 strides, each twice as wide as high and square."""
    anchors = Anchored(SHAPE, "giou").anchors(cells_of(MAPS))
    assert anchors.shape == (4 * (12 + 4), 4)
    wide, high = 8 * math.sqrt(2), 8 / math.sqrt(2)
    assert anchors[0].tolist() == pytest.approx([2 - wide / 2, 2 - high / 2, 2 + wide / 2, 2 + high / 2])
    assert anchors[1].tolist() == [-2, -2, 6, 6]
    assert anchors[3].tolist() == [-4, -4, 8, 8]
    assert anchors[4 + 1].tolist() == [2, -2, 10, 6]
    assert anchors[4 * 12 + 1].tolist() == [-4, -4, 12, 12]
    assert anchors[-1].tolist() == [0, 0, 24, 24]


def naive_match(anchors: Tensor, boxes: Tensor, real: list[bool]) -> list[int]:
    """The anchors or cells of one picture, each matched to a box or to none, by loops."""
    known = [number for number, there in enumerate(real) if there]
    shared = overlap(anchors, boxes).tolist()
    found = []
    for row in shared:
        best = max(known, key=lambda number: (row[number], -number), default=None)
        if best is None or row[best] < 0.4:
            found.append(BACKGROUND)
        else:
            found.append(best if row[best] >= 0.5 else NEITHER)
    takers: dict[int, list[int]] = {}
    for number in known:
        most = max(row[number] for row in shared)
        for place, row in enumerate(shared):
            if most > 0 and row[number] == most:
                takers.setdefault(place, []).append(number)
    for place, numbers in takers.items():
        found[place] = max(numbers, key=lambda number: (shared[place][number], -number))
    return found


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 10**6))
def test_match_is_that_of_single_anchors(count: int, most: int, seed: int) -> None:
    anchors = random_boxes(count, seed, 1.0)
    boxes = torch.stack([random_boxes(most, seed + number, 1.0) for number in (1, 2, 3)])
    real = torch.rand(3, most, generator=torch.Generator().manual_seed(seed)) < 0.7
    want = [naive_match(anchors, *pair) for pair in zip(boxes, real.tolist(), strict=True)]
    assert match(anchors, boxes, real).tolist() == want


def test_every_box_that_meets_an_anchor_has_one_unless_another_box_takes_it() -> None:
    """A thin box overlaps its best anchor by a quarter only, and has it all the same."""
    anchors = torch.tensor([[0.0, 0, 8, 8], [20, 20, 28, 28]])
    boxes = torch.tensor([[[0.0, 0, 2, 8], [50, 50, 60, 60]]])
    assert match(anchors, boxes, torch.tensor([[True, True]])).tolist() == [[0, BACKGROUND]]
    assert match(anchors, boxes, torch.tensor([[False, True]])).tolist() == [[BACKGROUND, BACKGROUND]]


@pytest.mark.parametrize(("logit", "wanted", "value"), [(0.0, 1.0, 0.25 * 0.25 * math.log(2)), (0.0, 0.0, 0.75 * 0.25 * math.log(2))])
def test_focal_by_hand(logit: float, wanted: float, value: float) -> None:
    assert focal(torch.tensor(logit), torch.tensor(wanted)).item() == pytest.approx(value)


def test_what_is_known_well_counts_little() -> None:
    """At p = 0.9 a hundredth of a quarter of the cross-entropy; and no gradient is lost to infinity at the ends."""
    logit = torch.tensor([math.log(9), 80.0, -80.0], requires_grad=True)
    value = focal(logit, torch.tensor([1.0, 1.0, 0.0]))
    assert value.tolist() == pytest.approx([0.25 * 0.01 * -math.log(0.9), 0, 0])
    value.sum().backward()
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


def made(interpretation: Anchored, seed: int, pictures: int = 2, classes: int = 3) -> DetectorOutput:
    """Random numbers for the anchors of two levels."""
    cells, rng = cells_of(MAPS), torch.Generator().manual_seed(seed)
    logits, boxes = (torch.randn(pictures, len(cells.stride) * 4, size, generator=rng, dtype=torch.float64) for size in (classes, 4))
    return DetectorOutput(logits, "values", box=0.3 * boxes, cells=cells, extent=(12, 16), interpretation=interpretation)


def naive_loss(interpretation: Anchored, said: DetectorOutput, boxes: Tensor, label: Tensor) -> float:
    anchors, total, count = interpretation.anchors(said.cells), 0.0, 0
    for picture, (box, kind) in enumerate(zip(boxes, label, strict=True)):
        for place, matched in enumerate(naive_match(anchors, box, (kind >= 0).tolist())):
            if matched != NEITHER:
                wanted = [float(matched >= 0 and kind[matched] == number) for number in range(said.prediction.shape[2])]
                total += focal(said.prediction[picture, place], torch.tensor(wanted, dtype=torch.float64)).sum().item()
            if matched >= 0:
                count += 1
                offset, anchor = said.box[picture, place], anchors[place]
                if interpretation.box == "giou":
                    total += 1 - generalised_overlap(from_offsets(offset, anchor), box[matched]).item()
                else:
                    errors = (offset - offsets(box[matched], anchor)).abs().tolist()
                    total += sum(4.5 * error**2 if error < 1 / 9 else error - 1 / 18 for error in errors)
    return total / max(count, 1)


@pytest.mark.parametrize("kind", ["giou", "smooth_l1"])
@pytest.mark.parametrize("seed", range(3))
def test_loss_is_the_sum_over_single_anchors(kind: str, seed: int) -> None:
    interpretation = Anchored(SHAPE, kind)  # type: ignore[arg-type]
    said = made(interpretation, seed)
    boxes = torch.stack([random_boxes(3, seed + number, 2.0) for number in (1, 2)])
    label = torch.tensor([[0, 2, 1], [1, -1, -1]])
    assert interpretation.loss(said, boxes, label).item() == pytest.approx(naive_loss(interpretation, said, boxes, label), rel=1e-10)


def test_pictures_without_boxes_are_background() -> None:
    interpretation = Anchored(SHAPE, "giou")
    said = made(interpretation, 0)
    nothing = torch.zeros(2, 1, 4), torch.full((2, 1), -1)
    want = focal(said.prediction, torch.zeros_like(said.prediction)).sum()
    assert interpretation.loss(said, *nothing).item() == pytest.approx(want.item(), rel=1e-12)


def test_scores_and_boxes_are_read_place_by_place() -> None:
    interpretation = Anchored(SHAPE, "giou")
    said = made(interpretation, 4)
    assert torch.equal(interpretation.score(said), said.prediction.sigmoid())
    place = torch.tensor([[3, 0, 60], [7, 7, 1]])
    anchors = interpretation.anchors(said.cells)
    for picture, places in enumerate(place.tolist()):
        for column, where in enumerate(places):
            want = from_offsets(said.box[picture, where], anchors[where])
            torch.testing.assert_close(interpretation.boxes(said, place)[picture, column], want)


def test_a_fresh_network_expects_nothing() -> None:
    torch.manual_seed(0)
    for family in FAMILIES.values():
        head = builder(family)(None).head
        logits = head.class_end(torch.zeros(1, head.class_tower.axis.count, 3, 3))
        torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.01))


@pytest.mark.parametrize(("lowest", "highest"), [(4, 7), (1, 1)])
def test_a_pyramid_that_does_not_meet_its_backbone_is_refused(lowest: int, highest: int) -> None:
    block = FAMILIES["retinanet"] | {"pyramid": {"lowest": lowest, "highest": highest}}
    with pytest.raises(UserError, match=rf"one of the backbone's, 0 to 2, .* got {lowest} and {highest}"):
        builder(block)(None)
