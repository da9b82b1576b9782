"""Tables of pictures in all the forms of Parquet that people have, and those that would fill the memory."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures._shared import table_columns
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import read as classify
from stillhouse.workloads.pictures.detect.read import read as detect
from tests.workloads.pictures.detect.raws import BOX, coded, pictures

PICTURE = coded(pictures(1)[0])
BOXES = [[{"xmin": 1.0, "ymin": 1.0, "xmax": 3.0, "ymax": 2.0, "label": 0}]]


def written(path: Path, **columns: pa.Array | list) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("label", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_the_form_of_hugging_face_is_read(tmp_path: Path, label: pa.DataType) -> None:
    image = [{"bytes": PICTURE, "path": "1.png"}] * 3
    splits = ["train", "validation", "train"]
    source = classify(written(tmp_path / "t.parquet", image=image, label=pa.array(["bee", "ant", "ant"]).cast(label), split=splits), Form())
    assert source.names == ("ant", "bee")
    assert {split: found.label.tolist() for split, found in source.splits.items()} == {"train": [1, 0], "valid": [0]}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("lists", [pa.list_, pa.large_list])
def test_columns_of_all_kinds_of_bytes_and_lists(tmp_path: Path, kind: pa.DataType, lists: type) -> None:
    raw = written(tmp_path / "t.parquet", image=pa.array([PICTURE], pa.binary()).cast(kind), boxes=pa.array(BOXES, lists(BOX)))
    [item] = detect(raw).splits["train"]
    assert (item.content(), item.boxes.tolist()) == (PICTURE, [[1, 1, 3, 2]])


def test_bad_pictures_are_skipped_and_counted(tmp_path: Path) -> None:
    raw = written(tmp_path / "t.parquet", image=[PICTURE, b"?", PICTURE], label=[0, 1, 2])
    found = classify(raw, Form(bad="skip")).splits["train"]
    assert (found.label.tolist(), len(found.image), found.skipped) == ([0, 2], 2, 1)
    with pytest.raises(UserError, match="row 1 - wanted a picture"):
        classify(raw, Form())
    with pytest.raises(UserError, match="row 0 - wanted a picture"):
        classify(written(tmp_path / "t.parquet", image=[b"?", b"!"], label=[0, 1]), Form(bad="skip"))


def test_a_struct_without_bytes_is_refused(tmp_path: Path) -> None:
    raw = written(tmp_path / "t.parquet", image=[{"bytes": None, "path": "1.png"}], label=[0])
    with pytest.raises(UserError, match=r"wanted a column image of bytes - got|1 are missing"):
        classify(raw, Form())


def test_a_table_that_expands_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_columns, "LARGEST", 2**20)
    raw = written(tmp_path / "t.parquet", image=[bytes(10_000)] * 1000, label=[0] * 1000)
    assert raw.stat().st_size < 2**16
    with pytest.raises(UserError, match=r"t\.parquet - wanted a table of 1048576 bytes at most in memory - got more"):
        classify(raw, Form())


@pytest.mark.parametrize("label", [2**62, -(2**62)])
def test_absurd_numbers_of_classes_are_refused(tmp_path: Path, label: int) -> None:
    box = pa.struct([field if field.name != "label" else pa.field("label", pa.int64()) for field in BOX])
    boxes = pa.array([[BOXES[0][0] | {"label": label}]], pa.list_(box))
    if label > 0:
        with pytest.raises(UserError, match="wanted labels below 100000 - got 4611686018427387904"):
            detect(written(tmp_path / "t.parquet", image=pa.array([PICTURE]), boxes=boxes))
    with pytest.raises(UserError, match=" - wanted "):
        classify(written(tmp_path / "c.parquet", image=pa.array([b"?"]), label=[label]), Form())


def test_a_damaged_table_and_long_words_are_told_in_a_sentence(tmp_path: Path) -> None:
    raw = written(tmp_path / "t.parquet", image=[PICTURE], label=[0], split=["x" * 99_999])
    with pytest.raises(UserError, match=" - wanted splits of ") as told:
        classify(raw, Form())
    assert len(str(told.value)) < 700
    content = raw.read_bytes()
    raw.write_bytes(content[:-300] + b"\xff" * 200 + content[-100:])
    with pytest.raises(UserError, match="wanted a Parquet table - "):
        classify(raw, Form())
