"""Each reader tells all bad files and rows of a data set at once, each with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.knowledge.read import read as knowledge
from stillhouse.workloads.graphs.temporal.read import ReadSettings
from stillhouse.workloads.graphs.temporal.read import read as temporal
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import read as classify
from stillhouse.workloads.pictures.detect.prepare import PrepareSettings
from stillhouse.workloads.pictures.detect.prepare import prepare as detect
from stillhouse.workloads.pictures.segment.decode import Form as PairForm
from stillhouse.workloads.pictures.segment.read import read as segment
from stillhouse.workloads.queue.read import read as queue
from tests.workloads.pictures.detect.raws import BOXES, coco, coded, folder, pictures, voc

PICTURE = coded(pictures(1)[0])


def all_told(read: Callable[[], Any], *places: str) -> None:
    with pytest.raises(UserError) as told:
        read()
    lines = str(told.value).splitlines()
    assert len(lines) == len(places) + 1, lines
    assert all(place in line and " - wanted " in line for place, line in zip(places, lines, strict=False)), lines
    assert lines[-1] == f"{len(places)} faults in all"


def test_pictures_of_all_splits(tmp_path: Path) -> None:
    wide = coded(pictures(1, width=20)[0])
    raw = folder(tmp_path, {"train/a/0.png": b"?", "train/a/1.png": PICTURE, "train/b/2.png": wide, "test/a/3.png": b""})
    all_told(lambda: classify(raw, Form()), "0.png", "2.png", "3.png")


def test_masks_that_are_missing(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"images/0.png": PICTURE, "images/1.png": PICTURE, "masks/2.png": PICTURE})
    all_told(lambda: segment(raw, PairForm()), "masks - wanted a mask 0", "masks - wanted a mask 1")


def test_pairs_of_a_table(tmp_path: Path) -> None:
    columns = {"image": [PICTURE, b"?", PICTURE], "mask": [b"?", PICTURE, PICTURE], "split": ["train", "val", "test"]}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    all_told(lambda: segment(tmp_path / "t.parquet", PairForm()), "row 0, column mask", "row 1", "row 2, column mask")


def test_pictures_of_boxes(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"{number}.png": b"?" if number in (2, 5, 7) else PICTURE for number in range(10)}
    raw = folder(tmp_path, files | {"boxes.json": json.dumps(coco(list(range(10)), BOXES))})
    with pytest.raises(UserError) as told:
        detect(PrepareSettings(), raw, tmp_path / "out", torch.Generator())
    assert {line.partition(" - ")[0] for line in str(told.value).splitlines()[:-1]} == {str(raw / f"{number}.png") for number in (2, 5, 7)}


def test_pictures_that_coco_names(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"0.png": PICTURE, "boxes.json": json.dumps(coco([0, 1, 2], BOXES[:3]))})
    all_told(lambda: detect(PrepareSettings(), raw, tmp_path / "out", torch.Generator()), "1.png", "2.png")


def test_files_of_voc(tmp_path: Path) -> None:
    objects = voc([("cat", 1, 1, 2, 2, 0), ("bee", 1, 1, 2, 2, 0)]).replace("<xmin>1<", "<xmin>?<")
    raw = folder(tmp_path, {"Annotations/0.xml": "<", "Annotations/1.xml": objects, "JPEGImages/0.png": PICTURE})
    all_told(lambda: detect(PrepareSettings(), raw, tmp_path / "out", torch.Generator()), "0.xml:1", "1.xml:3", "1.xml:7")


def test_triples_of_all_files(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"train.txt": "a r b\na r\nc r d\na r b c\n", "valid.txt": "a r b\n", "test.txt": "a\n"})
    all_told(lambda: knowledge(raw, "", ""), "train.txt:2", "train.txt:4", "test.txt:1")


def test_rows_of_triples(tmp_path: Path) -> None:
    rows = [{"head": "a", "relation": "r", "tail": tail, "split": split} for tail, split in (("b", "train"), (None, "train"), ("b", "?"))]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    all_told(lambda: knowledge(tmp_path / "t.parquet", "", ""), "row 1", "row 2")


def test_cells_of_a_series(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"s.csv": "a,b\n1,\n2,3\nx,nan\n", "e.csv": "from,to\na,b\n"})
    all_told(
        lambda: temporal(raw, ReadSettings(series="s.csv", edges="e.csv")),
        "s.csv:2, column 'b'",
        "s.csv:4, column 'a'",
        "s.csv:4, column 'b'",
    )


def test_ends_of_edges(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"s.csv": "a,b\n1,2\n", "e.csv": "from,to\na,b\nc,a\nb,d\n"})
    all_told(lambda: temporal(raw, ReadSettings(series="s.csv", edges="e.csv")), "e.csv:3", "e.csv:4")


def test_rows_of_a_queue(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("callrate,Q=0,Q=1\n1,?,2\n1,1,1\n1,0.5,1\n")
    all_told(lambda: queue(tmp_path / "q.csv", None), "q.csv:2", "q.csv:4")
    rows = [{"load": load, "state": 0, "count": 1} for load in (1.0, -1.0, 0.0)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    all_told(lambda: queue(tmp_path / "q.parquet", None), "row 1", "row 2")
