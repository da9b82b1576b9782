"""Hostile pictures and files about them are refused in one sentence, before they take memory or time."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.raw import content
from stillhouse.workloads.pictures._shared.picture import opened
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import read as classify
from stillhouse.workloads.pictures.detect.prepare import Form as BoxForm
from stillhouse.workloads.pictures.detect.prepare import gather
from stillhouse.workloads.pictures.detect.read import read as detect
from tests.workloads.pictures.detect.raws import BOXES, coco, coded, folder, pictures, voc

PICTURE = coded(pictures(1)[0])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(bytes(width + 1))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(2**13, 2**13 + 1), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    content = png(1, 1)[:16] + struct.pack(">II", width, height) + b"\x08\0\0\0\0"
    content += struct.pack(">I", zlib.crc32(content[12:29])) + chunk(b"IDAT", b"")
    with pytest.raises(UserError, match="x - wanted a picture of 67108864 pixels at most - got"):
        opened("x", content)


def test_text_that_expands_beside_the_pixels_is_refused() -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**25)))
    with pytest.raises(UserError, match=r"x - wanted a picture \(PNG or JPEG\) - "):
        opened("x", png(1, 1, bomb))


@pytest.mark.parametrize("length", [0, 8, 20, 40, 60])
def test_a_truncated_picture_is_refused(length: int) -> None:
    with pytest.raises(UserError, match=r"^x - wanted a picture"):
        opened("x", PICTURE[:length])


def test_only_regular_files_within_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PICTURE)
    raw = folder(tmp_path / "raw", {"a/1.png": PICTURE})
    (raw / "a/2.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(raw / "a/3.png")
    (raw / "a/4.png").mkdir()
    (raw / "a/5.png").symlink_to("/dev/zero")
    (raw / "a/6.png").symlink_to("6.png")
    (raw / "a/7.png").symlink_to("1.png")
    with pytest.raises(UserError) as told:
        classify(raw, Form())
    lines = str(told.value).splitlines()
    assert [line.partition(" - ")[0][-5:] for line in lines[:-1]] == ["2.png", "3.png", "4.png", "5.png", "6.png"]


def test_links_into_a_cache_of_dvc_are_read(tmp_path: Path) -> None:
    cached = folder(tmp_path / "cache", {f"files/md5/ab/{'0' * 30}": PICTURE}) / "files/md5/ab" / ("0" * 30)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/1.png").symlink_to(cached)
    assert content(tmp_path / "raw/1.png", tmp_path / "raw") == PICTURE


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "1.png", "wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(UserError, match=r"1\.png - wanted a file of 268435456 bytes at most - got 268435457"):
        content(tmp_path / "1.png", tmp_path)


LAUGHS = "<!DOCTYPE lolz [<!ENTITY a '1'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
SECRET = "<!DOCTYPE annotation [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"


@pytest.mark.parametrize("kind", [LAUGHS, SECRET])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_voc_with_entities_is_refused(tmp_path: Path, kind: str, encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?>{kind}{voc([('cat', 1, 1, 2, 2, 0)]).replace('cat', '&a;')}"
    raw = folder(tmp_path, {"Annotations/1.xml": text.encode(encoding), "JPEGImages/1.png": PICTURE})
    with pytest.raises(UserError, match=r"1\.xml - wanted XML without a document type - got <!DOCTYPE"):
        detect(raw)


@pytest.mark.parametrize("stem", ["../secret", "/etc/passwd", "a/b", ".."])
def test_a_list_of_voc_names_only_pictures_of_its_folder(tmp_path: Path, stem: str) -> None:
    files = {"Annotations/1.xml": voc([]), "JPEGImages/1.png": PICTURE, "ImageSets/Main/train.txt": f"1\n{stem}\n"}
    with pytest.raises(UserError, match=r"ImageSets - wanted names of pictures in JPEGImages - got .*, which leads elsewhere"):
        detect(folder(tmp_path, {**files}))


WRONG: dict[str, Any] = {
    "list": lambda it: [it],
    "nothing": lambda it: None,
    "images": lambda it: it | {"images": {"a": 1}},
    "huge": lambda it: it | {"images": [{"id": 10**400, "file_name": "0.png"}]},
    "name": lambda it: it | {"images": [{"id": 1, "file_name": ["0.png"]}]},
    "null": lambda it: it | {"images": [{"id": 1, "file_name": "\0"}]},
    "long": lambda it: it | {"images": [{"id": 1, "file_name": "a" * 5000}], "annotations": []},
    "surrogate": lambda it: it | {"images": [{"id": 1, "file_name": "\ud800"}]},
    "many": lambda it: it | {"annotations": [{"bbox": "?"}] * 200_000},
    "box": lambda it: it | {"annotations": [{"image_id": 100, "category_id": 30, "bbox": [0, 0, 1]}]},
    "crowded": lambda it: it | {"annotations": it["annotations"] * 10_001},
}


@pytest.mark.parametrize("kind", WRONG)
def test_coco_of_other_types_is_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    raw = folder(tmp_path, {"0.png": PICTURE, "c.json": json.dumps(WRONG[kind](coco([0], BOXES[:1])))})
    with pytest.raises(UserError, match=" - wanted ") as told:
        detect(raw)
    assert len(str(told.value)) < 700


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, '{"images": [1e', "\ufeff", "\0"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"c\.json.* - wanted (JSON|COCO)"):
        detect(folder(tmp_path, {"0.png": PICTURE, "c.json": text}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_boxes_that_are_no_numbers_are_refused(tmp_path: Path, number: float) -> None:
    raw = folder(tmp_path, {"Annotations/1.xml": voc([("cat", 1, 1, number, 2, 0)]), "JPEGImages/1.png": PICTURE})
    with pytest.raises(UserError, match=r"1\.png - wanted boxes from their left upper to their right lower corner"):
        gather(detect(raw).splits["train"], BoxForm())


def test_huge_boxes_are_cut_at_the_picture(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"Annotations/1.xml": voc([("cat", -1e300, 1, 1e300, 2, 0)]), "JPEGImages/1.png": PICTURE})
    assert gather(detect(raw).splits["train"], BoxForm()).boxes.tolist() == [[0, 0, 10, 2]]


def test_a_list_of_voc_in_another_encoding_is_refused(tmp_path: Path) -> None:
    files = {"Annotations/1.xml": voc([]), "JPEGImages/1.png": PICTURE, "ImageSets/Main/train.txt": b"1\n\xff"}
    with pytest.raises(UserError, match=r"train\.txt - wanted UTF-8 text - byte 2 is not"):
        detect(folder(tmp_path, {**files}))
