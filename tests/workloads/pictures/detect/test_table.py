"""A coded picture in a row is seen as in training, and its boxes lie on it in its own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.training.machine import move
from stillhouse.training.table import predictions
from stillhouse.workloads.pictures.detect import WORKLOAD
from stillhouse.workloads.pictures.detect.detections import detections
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from stillhouse.workloads.pictures.detect.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.detect.table import ROWS, TABLE, Asked
from tests.workloads.pictures.detect.families import FAMILIES, builder
from tests.workloads.pictures.detect.raws import coded, pictures, table
from tests.workloads.pictures.detect.test_detections import told

SIZES = [(22, 26), (44, 52), (33, 26), (11, 30)]
"""Heights and widths of the pictures in the test split."""


def raw(height: int, width: int) -> bytes:
    return coded(pictures(1, height=height, width=width)[0])


def kept(tmp_path: Path) -> Path:
    """The folder of a context, beside prepared pictures of 22 by 26 pixels, of which the last are of SIZES in the raw data."""
    images = [raw(height, width) for height, width in [(22, 26)] * 4 + SIZES]
    splits = ["train"] * 3 + ["val"] + ["test"] * len(SIZES)
    boxes = [[(1.0, 2.0, 7.0, 6.0, number % 3)] for number in range(len(images))]
    source = table(tmp_path / "raw.parquet", images, boxes, splits, ["ant", "bee", "cat"])
    prepare(PrepareSettings(size=(22, 26)), source, tmp_path / "prepared", torch.Generator())
    (tmp_path / "context").mkdir()
    TABLE.keep(tmp_path / "prepared", tmp_path / "context")
    return tmp_path


def sides(box: dict[str, Any]) -> list[float]:
    return [box[name] for name in ("xmin", "ymin", "xmax", "ymax")]


@pytest.mark.parametrize("family", ["retinanet", "fcos"])
def test_predictions_are_the_objects_of_the_prepared_pictures_on_the_given_ones(tmp_path: Path, family: str) -> None:
    folder = kept(tmp_path)
    torch.manual_seed(0)
    model = builder(FAMILIES[family])(None).eval()
    with torch.no_grad():  # an untrained head is sure of nothing
        for value in model.parameters():
            value[value < -4] = 0.0
    data = WORKLOAD.load(WORKLOAD.data_settings(), folder / "prepared", test=True)
    assert data.test is not None
    [batch] = data.test.draw(torch.Generator())
    with torch.no_grad():
        output = WORKLOAD.apply(model, batch)
    assert isinstance(output, DetectorOutput)
    wanted = detections(output)
    assert (wanted.label >= 0).any(1).all()
    rows = pa.table({"image": [raw(*size) for size in SIZES]})
    got = pa.concat_tables(predictions(TABLE, WORKLOAD, model, folder / "context", rows)).column("boxes").to_pylist()
    for found, (height, width), *parts in zip(got, SIZES, wanted.boxes, wanted.score, wanted.label, strict=True):
        share = min(22 / height, 26 / width)
        new = torch.tensor([round(width * share), round(height * share)]).repeat(2)
        boxes = parts[0].double() / (new / torch.tensor([width, height]).repeat(2))
        boxes = boxes.minimum(torch.tensor([width, height]).repeat(2))
        there = (parts[2] >= 0) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        assert torch.allclose(torch.tensor([sides(box) for box in found]).double(), boxes[there], atol=1e-3)
        assert [box["score"] for box in found] == pytest.approx(parts[1][there].tolist(), abs=1e-6)
        assert [box["label"] for box in found] == parts[2][there].tolist()
        assert [box["class"] for box in found] == [("ant", "bee", "cat")[number] for number in parts[2][there].tolist()]


def asked(context: Path, *images: bytes) -> tuple[Any, list[Asked]]:
    question = TABLE.ask(context, pa.table({"image": list(images)}))
    return question.columns, list(question.batches)


def test_a_box_is_in_pixels_of_its_own_picture_and_none_is_beside_it(tmp_path: Path) -> None:
    """11 by 30 pixels become 10 by 26 of the 22 by 26; what lies below is black and no part of the picture."""
    columns, [batch] = asked(kept(tmp_path) / "context", raw(44, 52), raw(11, 30))
    assert not batch.image[1, :, 10:].any()
    boxes = torch.tensor([[[1.0, 2, 13, 11], [0, 12, 26, 20]]]).repeat(2, 1, 1)
    score = torch.tensor([[[0.0, 0.5, 0.0], [0.0, 0.0, 0.75]]]).repeat(2, 1, 1)
    first, second = columns(told(score, boxes, (22, 26)), batch)["boxes"].to_pylist()
    assert [(box["class"], box["label"], box["score"]) for box in first] == [("cat", 2, 0.75), ("bee", 1, 0.5)]
    assert [sides(box) for box in first] == [[0, 24, 52, 40], [2, 4, 26, 22]]
    [box] = second
    assert sides(box) == pytest.approx([1 * 30 / 26, 2 * 11 / 10, 15, 11])


def test_where_nothing_is_found_the_list_is_empty_and_of_the_same_type(tmp_path: Path) -> None:
    columns, [batch] = asked(kept(tmp_path) / "context", raw(22, 26))
    boxes = torch.tensor([[[1.0, 2, 13, 11]]])
    full, empty = (columns(told(torch.full((1, 1, 3), score), boxes, (22, 26)), batch)["boxes"] for score in (0.5, 0.0))
    assert empty.to_pylist() == [[]]
    assert empty.type == full.type


def test_a_batch_keeps_its_sizes_when_it_is_moved(tmp_path: Path) -> None:
    _, batches = asked(kept(tmp_path) / "context", *[raw(22, 26)] * ROWS, raw(44, 52))
    assert [len(batch.image) for batch in batches] == [ROWS, 1]
    moved = move(batches[1], torch.device("cpu"))
    assert isinstance(moved, Asked)
    assert (moved.given.tolist(), moved.scale.tolist()) == ([[52, 44, 52, 44]], [[0.5] * 4])


def test_colours_are_those_of_training(tmp_path: Path) -> None:
    grey = coded(np.asarray(Image.new("L", (26, 22), 7)))
    _, [batch] = asked(kept(tmp_path) / "context", grey)
    assert batch.image.shape == (1, 3, 22, 26)
    assert (batch.image == 7).all()


def test_what_is_no_picture_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^row {ROWS} - wanted a picture \(PNG or JPEG\)"):
        asked(kept(tmp_path) / "context", *[raw(22, 26)] * ROWS, b"no picture")
