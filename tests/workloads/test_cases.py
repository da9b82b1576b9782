"""Inputs that people really have are read rightly or refused in one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.workloads.graphs.knowledge.read import parse
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import read as classify
from stillhouse.workloads.pictures.detect.read import read as detect
from stillhouse.workloads.pictures.segment.decode import Form as PairForm
from stillhouse.workloads.pictures.segment.read import read as segment
from stillhouse.workloads.queue.read import read as queue
from tests.workloads.pictures.detect.raws import BOXES, coco, coded, folder, pictures, voc

PICTURE = coded(pictures(1)[0])
MARK = b"\xef\xbb\xbf"
"""The byte-order mark of UTF-8."""


def test_pictures_in_nested_folders_are_of_the_class_above(tmp_path: Path) -> None:
    source = classify(folder(tmp_path, {"ant/a/b/1.png": PICTURE, "bee/2.PNG": PICTURE}), Form())
    assert (source.names, source.splits["train"].label.tolist()) == (("ant", "bee"), [0, 1])


def test_what_systems_and_editors_leave_is_ignored(tmp_path: Path) -> None:
    left = ("ant/._1.png", "ant/.DS_Store", "ant/Thumbs.db", "__MACOSX/ant/2.png", ".ipynb_checkpoints/3.png")
    source = classify(folder(tmp_path, {"ant/1.png": PICTURE, **dict.fromkeys(left, b"?")}), Form())
    assert (source.names, len(source.splits["train"].label)) == (("ant",), 1)


def test_a_mask_that_loses_its_numbers_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (10, 8)).save(stream, "JPEG")
    with pytest.raises(UserError, match=r"1\.jpg - wanted a mask as PNG, which keeps the numbers of classes - got a JPEG"):
        segment(folder(tmp_path, {"images/1.png": PICTURE, "masks/1.jpg": stream.getvalue()}), PairForm())


def test_an_image_id_of_two_pictures_is_refused_with_both_places(tmp_path: Path) -> None:
    content = coco([0, 1, 2], BOXES[:3])
    content["images"][2]["id"] = content["images"][0]["id"]
    with pytest.raises(UserError, match=r"c\.json: images\.2\.id - wanted an id of its own - 100 is that of images\.0 too"):
        detect(folder(tmp_path, {"c.json": json.dumps(content), **{f"{number}.png": PICTURE for number in range(3)}}))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_a_picture_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(PICTURE)
    content = coco([0], BOXES[:1])
    content["images"][0]["file_name"] = name
    with pytest.raises(UserError, match="which leads out of it"):
        detect(folder(tmp_path / "raw", {"c.json": json.dumps(content), "a/0.png": PICTURE}))


@pytest.mark.parametrize("form", ["iso-8859-1", "utf-8-sig", "utf-16", "comment"])
def test_voc_in_any_encoding(tmp_path: Path, form: str) -> None:
    text = voc([("caf\u00e9", 1, 1, 2, 2, 0)])
    if form == "comment":
        content = text.replace("<annotation>", "<annotation><!-- <object>\n</object> -->").encode()
    else:
        content = (f'<?xml version="1.0" encoding="{form.removesuffix("-sig")}"?>\n{text}').encode(form)
    source = detect(folder(tmp_path, {"Annotations/1.xml": content, "JPEGImages/1.png": PICTURE}))
    assert source.names == ("caf\u00e9",)
    assert source.splits["train"][0].boxes.tolist() == [[0, 0, 2, 2]]


def test_voc_in_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"Annotations/1.xml": '<?xml version="1.0" encoding="nonsense"?><annotation/>', "JPEGImages/1.png": PICTURE})
    with pytest.raises(UserError, match=r"1\.xml.* - wanted XML"):
        detect(raw)


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    assert parse(MARK + b"a r b\n", "x") == [("a", "r", "b")]
    assert read_json(folder(tmp_path, {"x.json": MARK + b"[1]"}) / "x.json") == [1]
    assert queue(folder(tmp_path, {"q.csv": MARK + b"callrate,Q=0,Q=1\n1,2,3\n"}) / "q.csv", None).counts.tolist() == [[2, 3]]


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"x.json": b'["\xe9"]', "q.csv": b"callrate,Q=0,Q=1\n\xe9,2,3\n", "deep.json": "[" * 100_000})
    with pytest.raises(UserError, match=r"x\.json - wanted UTF-8 text - byte 2 is not"):
        read_json(raw / "x.json")
    with pytest.raises(UserError, match=r"q\.csv - wanted comma-separated values in UTF-8"):
        queue(raw / "q.csv", None)
    with pytest.raises(UserError, match=r"deep\.json - wanted JSON - it is nested too deeply"):
        read_json(raw / "deep.json")


def test_where_a_line_of_triples_has_tabs_they_separate() -> None:
    assert parse(b"New York\tpart of\tUSA\na r b\n", "x") == [("New York", "part of", "USA"), ("a", "r", "b")]
    with pytest.raises(UserError, match=r"x:1 - wanted head, relation, tail"):
        parse(b"New York\t\tUSA\n", "x")
