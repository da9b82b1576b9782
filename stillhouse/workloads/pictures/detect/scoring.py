"""What is trained on and what is reported: the family's own loss, and average precision as COCO reckons it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.workloads.pictures.detect.boxes import overlap
from stillhouse.workloads.pictures.detect.detections import MOST, Detections, detections
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from stillhouse.workloads.pictures.detect.sample import Batch

SURE = 0.3
"""The score from which an object counts when two detectors are compared."""
ALIKE = 0.5
"""The overlap from which two boxes of a class are one object in that comparison."""
Entry = dict[str, Any]


def loss(output: Output, batch: Batch) -> Tensor:
    """That of the family, on pictures of which it is known what is in them; boxes around a crowd are left out, as if there were none."""
    detected, known = _of_detector(output), batch.known
    if known.all():
        return detected.interpretation.loss(detected, batch.boxes, batch.taught())
    return detected.interpretation.loss(detected.of(known), batch.boxes[known], batch.taught()[known])


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """`map` is the mean over classes and over overlaps of 0.5, 0.55, ..., 0.95 of average precision, `map_50` that at 0.5 alone.

    `ap_<class>` is a class's own mean over overlaps; a class without a box in the split has none and does not count. At most 100
    objects per picture; a box around a crowd is neither right nor wrong.
    """
    names: tuple[str, ...] = ()
    truth: list[Entry] = []
    found: list[Entry] = []
    pictures = 0
    for output, batch in outputs:
        names = batch.names
        truth += _truth(batch, pictures)
        found += _found(detections(_of_detector(output)), pictures)
        pictures += len(batch.image)
    return _metrics(_precision(names, pictures, truth, found), names)


def _of_detector(output: Output) -> DetectorOutput:
    if not isinstance(output, DetectorOutput):
        raise TypeError(f"wanted the output of a detector, got {type(output).__name__}")
    return output


def _truth(batch: Batch, first: int) -> Iterator[Entry]:
    row, place = (batch.label >= 0).nonzero(as_tuple=True)
    for entry, crowd in zip(_entries(row + first, batch.label[row, place], batch.boxes[row, place]), batch.crowd[row, place], strict=True):
        yield entry | {"iscrowd": int(crowd)}


def _found(objects: Detections, first: int) -> Iterator[Entry]:
    row, place = (objects.label >= 0).nonzero(as_tuple=True)
    entries = _entries(row + first, objects.label[row, place], objects.boxes[row, place])
    for entry, sure in zip(entries, objects.score[row, place].tolist(), strict=True):
        yield entry | {"score": sure, "iscrowd": 0}


def _entries(picture: Tensor, label: Tensor, boxes: Tensor) -> Iterator[Entry]:
    sides = (boxes[:, 2:] - boxes[:, :2]).double()
    corner = torch.cat((boxes[:, :2].double(), sides), 1)
    for which, kind, box, area in zip(picture.tolist(), label.tolist(), corner.tolist(), sides.prod(1).tolist(), strict=True):
        yield {"image_id": which, "category_id": kind, "bbox": box, "area": area}


def _precision(names: tuple[str, ...], pictures: int, truth: list[Entry], found: list[Entry]) -> np.ndarray:
    """(overlaps, recalls, classes), -1 where a class has no box."""
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its progress
        evaluation = COCOeval(_coco(names, pictures, truth), _coco(names, pictures, found), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: np.ndarray = evaluation.eval["precision"][:, :, :, 0, 0]
    return precision


def _coco(names: tuple[str, ...], pictures: int, entries: list[Entry]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(pictures)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(entries, start=1)],  # 0 would mean no match
    }
    coco.createIndex()
    return coco


def _metrics(precision: np.ndarray, names: tuple[str, ...]) -> Metrics:
    known = [number for number in range(len(names)) if (precision[:, :, number] >= 0).all()]
    means = precision[:, :, known].mean(1)
    whole = {"map": means.mean(), "map_50": means[0].mean()} if known else {"map": 0.0, "map_50": 0.0}
    own = {f"ap_{names[number]}": means[:, place].mean() for place, number in enumerate(known)}
    return {name: float(value) for name, value in (whole | own).items()}


def agreement(first: Output, second: Output) -> Tensor:
    """How alike two detectors find the objects of each picture, (batch,) in [0, 1]: the share of their sure objects of which the
    other one has a like; 1 where neither has any.
    """
    ours, theirs = detections(_of_detector(first)), detections(_of_detector(second))
    sure, other = (objects.score >= SURE for objects in (ours, theirs))
    alike = (overlap(ours.boxes, theirs.boxes) >= ALIKE) & (ours.label[:, :, None] == theirs.label[:, None])
    alike &= sure[:, :, None] & other[:, None]
    total = sure.sum(1) + other.sum(1)
    shared = alike.any(2).sum(1) + alike.any(1).sum(1)
    return torch.where(total > 0, shared / total.clamp(min=1), 1.0)
