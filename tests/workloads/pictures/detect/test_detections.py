"""The list of objects, against a loop that goes from the surest to the least sure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.workloads.pictures.detect.boxes import overlap
from stillhouse.workloads.pictures.detect.cells import cells_of
from stillhouse.workloads.pictures.detect.detections import MOST, detections, kept_objects
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from tests.workloads.pictures.detect.test_boxes import random_boxes


@dataclass(frozen=True)
class Told:
    """A interpretation that reads scores and boxes as they are."""

    def loss(self, output: DetectorOutput, boxes: Tensor, label: Tensor) -> Tensor:
        raise NotImplementedError

    def score(self, output: DetectorOutput) -> Tensor:
        return output.prediction

    def boxes(self, output: DetectorOutput, place: Tensor) -> Tensor:
        return output.box.gather(1, place.unsqueeze(-1).expand(-1, -1, 4))


def told(score: Tensor, boxes: Tensor, extent: tuple[int, int] = (20, 20)) -> DetectorOutput:
    """(pictures, places, classes) and (pictures, places, 4)"""
    return DetectorOutput(score, "values", box=boxes, cells=cells_of([(score, 1)]), extent=extent, interpretation=Told())


def naive(boxes: Tensor, label: Tensor) -> list[bool]:
    kept: list[int] = []
    shared = overlap(boxes, boxes).tolist()
    for place in range(len(label)):
        same = [other for other in kept if label[other] == label[place] and shared[other][place] > 0.5]
        kept += [] if same else [place]
    return [place in kept for place in range(len(label))]


@given(st.integers(1, 25), st.integers(1, 2), st.integers(0, 10**6))
def test_repetitions_go_as_one_by_one(count: int, classes: int, seed: int) -> None:
    boxes = torch.stack([random_boxes(count, seed + number, 3.0) for number in range(3)])
    label = torch.randint(0, classes, (3, count), generator=torch.Generator().manual_seed(seed))
    assert kept_objects(boxes, label).tolist() == [naive(*pair) for pair in zip(boxes, label, strict=True)]


def test_a_chain_of_boxes_keeps_every_second_one() -> None:
    """Each overlaps its neighbours alone, so what a removed one would have removed stays."""
    left = torch.arange(40.0)
    boxes = torch.stack((left, torch.zeros(40), left + 3.5, torch.ones(40)), 1)
    kept = kept_objects(boxes[None], torch.zeros(1, 40, dtype=torch.long))
    assert kept[0].tolist() == [place % 2 == 0 for place in range(40)]


def test_the_surest_come_first_and_are_cut_at_the_edges() -> None:
    score = torch.tensor([[[0.2, 0.9], [0.8, 0.01]], [[0.01, 0.02], [0.6, 0.04]]])
    boxes = torch.tensor([[[-5.0, -5, 4, 4], [10, 10, 30, 40]], [[0, 0, 1, 1], [3, 3, 5, 5]]])
    found = detections(told(score, boxes, (18, 25)))
    assert found.label.tolist() == [[1, 0, 0], [0, -1, -1]]
    torch.testing.assert_close(found.score, torch.tensor([[0.9, 0.8, 0.2], [0.6, 0, 0]]))
    assert found.boxes[0].tolist() == [[0, 0, 4, 4], [10, 10, 25, 18], [0, 0, 4, 4]]
    assert found.boxes[1, 0].tolist() == [3, 3, 5, 5]


def test_there_is_an_end_to_objects_and_nothing_may_be_found() -> None:
    left = torch.arange(300.0)
    boxes = torch.stack((left, left, left + 1, left + 1), 1)[None]
    score = torch.linspace(0.1, 0.9, 300)[None, :, None]
    found = detections(told(score, boxes, (400, 400)))
    assert found.label.shape == (1, MOST)
    assert found.boxes[0, :, 0].tolist() == list(range(299, 299 - MOST, -1))
    none = detections(told(torch.full((2, 300, 1), 0.01), boxes.expand(2, -1, -1)))
    assert (none.label == -1).all()
    assert (none.score == 0).all()
