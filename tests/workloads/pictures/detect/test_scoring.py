"""Average precision by hand and by a loop, and what does not count in it."""

from __future__ import annotations

import contextlib
import io

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.output import Output
from stillhouse.workloads.pictures.detect import WORKLOAD
from stillhouse.workloads.pictures.detect.boxes import overlap
from stillhouse.workloads.pictures.detect.sample import Batch
from tests.workloads.pictures.detect.test_detections import told

NAMES = ("ant", "bee", "cat")
UNIT = torch.ones(2, 1)
Box = tuple[float, float, float, float, int]
Found = tuple[float, float, float, float, int, float]


def batch(pictures: list[list[Box]], crowd: list[tuple[int, int]] | None = None) -> Batch:
    """Pictures of twenty by twenty pixels; `crowd` names boxes by picture and place."""
    most = max(1, max(len(boxes) for boxes in pictures))
    boxes, label, crowds = torch.zeros(len(pictures), most, 4), torch.full((len(pictures), most), -1), torch.zeros(len(pictures), most)
    for row, found in enumerate(pictures):
        for place, (*box, kind) in enumerate(found):
            boxes[row, place], label[row, place] = torch.tensor(box), kind
    for row, place in crowd or []:
        crowds[row, place] = 1
    known = torch.ones(len(pictures), dtype=torch.bool)
    return Batch(torch.zeros(len(pictures), 1, 20, 20, dtype=torch.uint8), boxes, label, crowds.bool(), known, UNIT, NAMES)


def said(pictures: list[list[Found]]) -> Output:
    """A detector's output of just these objects, each a place of its own."""
    most = max(1, max(len(found) for found in pictures))
    score, boxes = torch.zeros(len(pictures), most, len(NAMES)), torch.zeros(len(pictures), most, 4)
    for row, found in enumerate(pictures):
        for place, (*box, kind, sure) in enumerate(found):
            score[row, place, kind], boxes[row, place] = sure, torch.tensor(box)
    return told(score, boxes)


def perfect(pictures: list[list[Box]]) -> list[list[Found]]:
    return [[(*box, 0.9 - 0.01 * place) for place, box in enumerate(boxes)] for boxes in pictures]


TRUTH: list[list[Box]] = [[(1, 1, 9, 9, 0), (10, 10, 18, 19, 0), (1, 10, 5, 15, 2)], [], [(2, 2, 12, 12, 2)]]


def test_a_perfect_prediction_scores_best() -> None:
    assert WORKLOAD.score([(said(perfect(TRUTH)), batch(TRUTH))]) == {
        "map": pytest.approx(1),
        "map_50": pytest.approx(1),
        "ap_ant": pytest.approx(1),
        "ap_cat": pytest.approx(1),
    }
    shifted = [[(left + 2, top, right + 2, bottom, kind, sure) for left, top, right, bottom, kind, sure in row] for row in perfect(TRUTH)]
    worse = WORKLOAD.score([(said(shifted), batch(TRUTH))])
    assert worse["map"] < 0.5 < worse["map_50"]
    nothing = WORKLOAD.score([(said([[], [], []]), batch(TRUTH))])
    assert nothing == {"map": 0, "map_50": 0, "ap_ant": 0, "ap_cat": 0}
    assert next(iter(nothing)) == "map"
    assert WORKLOAD.higher_is_better


def test_average_precision_by_hand() -> None:
    """Two ants; the surest object is one of them, the next is nothing, the third is the other with an overlap of 0.72.

    Precision is 1 up to a recall of a half, 2 / 3 up to 1: at 101 recalls that is (51 + 50 * 2 / 3) / 101, for overlaps up to 0.7;
    above, the second ant is not found and the mean is 51 / 101.
    """
    truth: list[list[Box]] = [[(0, 0, 10, 10, 0), (10, 10, 20, 20, 0)]]
    found: list[list[Found]] = [[(0, 0, 10, 10, 0, 0.9), (0, 12, 5, 18, 0, 0.8), (10, 10, 20, 17.2, 0, 0.7)]]
    metrics = WORKLOAD.score([(said(found), batch(truth))])
    high, low = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert metrics["map_50"] == pytest.approx(high)
    assert metrics["map"] == pytest.approx((5 * high + 5 * low) / 10)
    assert metrics["ap_ant"] == metrics["map"]


def test_a_second_box_on_the_same_object_is_wrong() -> None:
    """Its overlap with the first is small enough to stay."""
    truth: list[list[Box]] = [[(0, 0, 10, 10, 0), (10, 10, 20, 20, 0)]]
    found: list[list[Found]] = [[(0, 0, 10, 7, 0, 0.9), (0, 3, 10, 10, 0, 0.8), (10, 10, 20, 20, 0, 0.7)]]
    assert WORKLOAD.score([(said(found), batch(truth))])["map_50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_crowds_are_neither_right_nor_wrong() -> None:
    truth: list[list[Box]] = [[(0, 0, 10, 10, 0), (10, 10, 20, 20, 0)]]
    for found in (perfect(truth), [perfect(truth)[0][:1]]):
        metrics = WORKLOAD.score([(said(found), batch(truth, [(0, 1)]))])
        assert metrics["map"] == pytest.approx(1)
    assert WORKLOAD.score([(said([perfect(truth)[0][:1]]), batch(truth))])["map"] == pytest.approx(51 / 101)


def test_pictures_may_come_in_any_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    truth: list[list[Box]] = [random_row(generator) for _ in range(7)]
    found = [[(*jittered(box, generator), float(torch.rand((), generator=generator))) for box in row] for row in truth]
    whole = WORKLOAD.score([(said(found), batch(truth))])
    parts = WORKLOAD.score((said(found[rows]), batch(truth[rows])) for rows in (slice(0, 3), slice(3, 4), slice(4, 7)))
    assert whole == pytest.approx(parts)
    assert 0.1 < whole["map"] < 0.9
    assert whole["map"] == pytest.approx(sum(naive(truth, found, kind) for kind in range(3)) / 3)


def random_row(generator: torch.Generator) -> list[Box]:
    corners = torch.randint(0, 10, (3, 2), generator=generator).tolist()
    return [(left, top, left + 8, top + 7, kind) for kind, (left, top) in enumerate(corners)] + [(12, 12, 20, 20, 0)]


def jittered(box: Box, generator: torch.Generator) -> tuple[float, float, float, float, int]:
    left, top, right, bottom = (value + shift for value, shift in zip(box, torch.rand(4, generator=generator).tolist(), strict=False))
    return left, top, min(right, 20), min(bottom, 20), box[4]


def naive(truth: list[list[Box]], found: list[list[Found]], kind: int) -> float:
    """The average precision of one class, read aloud."""
    total = 0.0
    wanted = sum(box[4] == kind for row in truth for box in row)
    ordered = sorted(
        ((row, entry) for row, objects in enumerate(found) for entry in objects if entry[4] == kind), key=lambda pair: -pair[1][5]
    )
    for least in torch.arange(0.5, 1, 0.05, dtype=torch.float64).tolist():
        taken: set[tuple[int, int]] = set()
        right, points = 0, []
        for count, (row, entry) in enumerate(ordered, start=1):
            free = [place for place, box in enumerate(truth[row]) if box[4] == kind and (row, place) not in taken]
            shared = {place: overlap(torch.tensor([entry[:4]]), torch.tensor([truth[row][place][:4]])).item() for place in free}
            best = max(shared, key=lambda place: shared[place], default=None)
            if best is not None and shared[best] >= least:
                taken.add((row, best))
                right += 1
            points.append((right / wanted, right / count))
        total += sum(max((p for r, p in points if r >= step / 100 - 1e-12), default=0) for step in range(101)) / 101
    return total / 10


def test_the_evaluator_is_silent() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as told_out:
        WORKLOAD.score([(said(perfect(TRUTH)), batch(TRUTH))])
    assert told_out.getvalue() == ""


def agree(first: Output, second: Output) -> Tensor:
    assert WORKLOAD.agreement is not None
    return WORKLOAD.agreement(first, second)


def test_agreement_is_the_share_of_sure_objects_that_both_have() -> None:
    ours = said([*perfect(TRUTH), [(0, 0, 9, 9, 1, 0.9)], [(0, 0, 9, 9, 1, 0.9), (0, 0, 9, 9, 2, 0.2)]])
    theirs = said([[(1, 1, 9, 9, 0, 0.4), (10, 10, 18, 19, 1, 0.9)], [], perfect(TRUTH)[2], [], [(0, 0, 9, 8, 1, 0.9)]])
    for first, second in ((ours, theirs), (theirs, ours)):
        assert agree(first, second).tolist() == pytest.approx([2 / 5, 1, 1, 0, 1])
    assert agree(ours, ours).tolist() == [1] * 5


def test_the_output_of_another_workload_is_refused() -> None:
    with pytest.raises(TypeError, match="wanted the output of a detector, got Output"):
        WORKLOAD.loss(Output(torch.zeros(1), "values"), batch(TRUTH))
