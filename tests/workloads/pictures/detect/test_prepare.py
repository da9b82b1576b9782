"""Prepared tables: byte for byte the same, whatever form the raw data have, and every mistake of theirs in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.pictures._shared.scenes import read_scenes
from stillhouse.workloads.pictures.detect.prepare import PrepareSettings, prepare
from tests.workloads.pictures.classify.raws import table as classified
from tests.workloads.pictures.detect.raws import BOXES, SCENES, coco, coded, folder, pictures, table, voc

SPLITS = ["train"] * 5 + ["val"] * 3 + ["test"] * 2
Rows = list[tuple[float, ...]]


def prepared(folder: Path, raw: Path, seed: int = 0, **settings: Any) -> dict[str, tuple[list[bytes], Rows]]:
    """Split -> pictures, and rows of picture, box, label and crowd."""
    folder.mkdir(exist_ok=True)
    prepare(PrepareSettings(**settings), raw, folder, torch.Generator().manual_seed(seed))
    found = {}
    for name in ("train", "valid", "test"):
        boxes = read_parquet(folder / f"{name}-boxes.parquet")
        columns = [torch.as_tensor(boxes[key]).double().reshape(len(boxes["label"]), -1) for key in ("picture", "box", "label", "crowd")]
        found[name] = (list(read_parquet(folder / f"{name}.parquet")["image"]), [tuple(row) for row in torch.cat(columns, 1).tolist()])
    return found


def refused(tmp_path: Path, raw: Path, words: str, **settings: Any) -> None:
    with pytest.raises(UserError, match=words) as caught:
        prepared(tmp_path / "out", raw, **settings)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").glob("*.parquet"))


def wanted(split: str) -> Rows:
    places = [place for place, name in enumerate(SPLITS) if name == split]
    return [(number, *box, 0) for number, place in enumerate(places) for box in BOXES[place]]


def bytes_of(images: np.ndarray) -> list[bytes]:
    return [image.transpose(2, 0, 1).tobytes() for image in images]


def test_twice_gives_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        prepared(tmp_path / name, SCENES)
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {f"{split}{rest}.parquet" for split in ("train", "valid", "test") for rest in ("", "-boxes")} | {
        "facts.json"
    }


def test_scenes_are_those_of_the_generator(tmp_path: Path) -> None:
    found = prepared(tmp_path / "out", SCENES)
    for split, scenes in read_scenes(SCENES).items():
        images, rows = found[split]
        assert images == [image.tobytes() for image in scenes.image]
        want = [
            (number, *box.tolist(), label, 0)
            for number, (boxes, labels) in enumerate(zip(scenes.boxes, scenes.labels, strict=True))
            for box, label in zip(boxes, labels, strict=True)
        ]
        assert rows == want
    assert read_json(tmp_path / "out/facts.json")["names"] == [str(digit) for digit in range(10)]


def test_a_table_is_taken_as_it_is(tmp_path: Path) -> None:
    images = pictures(10)
    raw = table(tmp_path / "raw.parquet", list(map(coded, images)), BOXES, SPLITS, ["ant", "bee", "cat"])
    found = prepared(tmp_path / "out", raw)
    for ours, theirs, rows in (("train", "train", slice(5)), ("valid", "val", slice(5, 8)), ("test", "test", slice(8, 10))):
        assert found[ours] == (bytes_of(images[rows]), wanted(theirs))
    facts = read_json(tmp_path / "out/facts.json")
    assert (facts["names"], facts["classes"]) == (["ant", "bee", "cat"], 3)
    assert facts["mean"] == pytest.approx((images[:5] / 255).mean((0, 1, 2)).tolist(), rel=1e-12)
    assert facts["deviation"] == pytest.approx((images[:5] / 255).std((0, 1, 2)).tolist(), rel=1e-12)


def test_what_has_no_splits_is_divided(tmp_path: Path) -> None:
    images = pictures(10)
    raw = table(tmp_path / "raw.parquet", list(map(coded, images)), [[(1, 2, 7, 6, 0)]] * 10)
    first, again, other = (prepared(tmp_path / name, raw, seed, valid_share=0.2) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first == again != other
    assert [len(found) for found, _ in first.values()] == [6, 2, 2]
    assert sorted(image for found, _ in first.values() for image in found) == sorted(bytes_of(images))
    assert read_json(tmp_path / "a/facts.json")["names"] == ["0"]


def test_coco_numbers_its_categories_by_their_ids(tmp_path: Path) -> None:
    images = pictures(10)
    places = ["a/0.png", "images/1.png", "train2017/2.png", "3.png", *(f"images/{number}.png" for number in range(4, 10))]
    files: dict[str, bytes | str] = {place: coded(image) for place, image in zip(places, images, strict=True)}
    files["annotations/instances_train2017.json"] = json.dumps(coco(list(range(5)), BOXES[:5])).replace('"0.png', '"a/0.png')
    crowded = coco([5, 6, 7], BOXES[5:8])
    crowded["annotations"][1]["iscrowd"] = 1
    files["annotations/instances_val2017.json"] = json.dumps(crowded)
    files["annotations/instances_test2017.json"] = json.dumps(coco([8, 9], BOXES[8:]))
    found = prepared(tmp_path / "out", folder(tmp_path / "raw", files))

    def turned(rows: Rows) -> Rows:
        return [(*row[:5], 2 - row[5], row[6]) for row in rows]

    assert read_json(tmp_path / "out/facts.json")["names"] == ["ant", "bee", "cat"]
    assert found["train"] == (bytes_of(images[:5]), turned(wanted("train")))
    assert found["test"][1] == turned(wanted("test"))
    assert found["valid"][1] == [(*row[:6], float(place == 1)) for place, row in enumerate(turned(wanted("val")))]


def test_one_file_of_coco_lies_beside_its_pictures(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"{number}.png": coded(image) for number, image in enumerate(pictures(10))}
    raw = folder(tmp_path / "raw", files | {"boxes.json": json.dumps(coco(list(range(10)), BOXES[::-1]))})
    assert prepared(tmp_path / "a", raw) == prepared(tmp_path / "b", raw / "boxes.json")


def test_voc_counts_from_one_and_holds_its_last_pixels(tmp_path: Path) -> None:
    images = pictures(3)
    files: dict[str, bytes | str] = {f"JPEGImages/p{number}.png": coded(image) for number, image in enumerate(images)}
    files |= {f"Annotations/p{number}.xml": voc([("dog", 1, 1, 10, 8, 0), ("ant", 2, 3, 4, 5, number % 2)]) for number in range(3)}
    files |= {f"ImageSets/Main/{word}.txt": f"p{number}\n" for number, word in enumerate(("train", "val", "test"))}
    found = prepared(tmp_path / "out", folder(tmp_path / "raw", files))
    assert read_json(tmp_path / "out/facts.json")["names"] == ["ant", "dog"]
    for number, (images_of_split, rows) in enumerate(found.values()):
        assert images_of_split == bytes_of(images[number : number + 1])
        assert rows == [(0, 0, 0, 10, 8, 1, 0), (0, 1, 2, 4, 5, 0, number % 2)]


def test_boxes_of_a_picture_of_another_size_are_refused(tmp_path: Path) -> None:
    """Ten by eight pixels are shown as eight by ten; in COCO and in VOC."""
    images = list(map(coded, pictures(3)))
    Image.fromarray(pictures(1)[0]).save(tmp_path / "side.png", exif=turned_exif())
    images[1] = (tmp_path / "side.png").read_bytes()
    words = r"1\.png - wanted boxes on its 8 by 10 pixels - got those of a picture of 10 by 8: draw them on the upright picture"
    files: dict[str, bytes | str] = {f"{number}.png": image for number, image in enumerate(images)}
    refused(tmp_path, folder(tmp_path / "coco", files | {"boxes.json": json.dumps(coco([0, 1, 2], BOXES[2:5]))}), words)
    size = "<size><width>10</width><height>8</height></size>"
    annotation = voc([("dog", 1, 1, 8, 8, 0)]).replace("<size><width>10</width></size>", size)
    files = {f"JPEGImages/{name}": image for name, image in files.items()} | {f"Annotations/{name}.XML": annotation for name in range(3)}
    refused(tmp_path, folder(tmp_path / "voc", files), words)


def turned_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_a_picture_that_nobody_annotated_is_left_out_with_a_warning(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"JPEGImages/p{number}.png": coded(image) for number, image in enumerate(pictures(6))}
    files |= {f"Annotations/p{number}.xml": voc([("dog", 1, 1, 10, 8, 0)]) for number in range(5)}
    with pytest.warns(UserWarning, match="JPEGImages - left out what has no file in Annotations: p5$"):
        found = prepared(tmp_path / "out", folder(tmp_path / "raw", files))
    assert sum(len(images) for images, _ in found.values()) == 5


@pytest.mark.parametrize(("what", "value"), [("id", 20), ("name", "bee")])
def test_categories_that_are_alike_are_refused(tmp_path: Path, what: str, value: Any) -> None:
    content = coco([0], BOXES[:1])
    content["categories"][2][what] = value
    raw = folder(tmp_path / "raw", {"0.png": coded(pictures(1)[0]), "boxes.json": json.dumps(content)})
    refused(tmp_path, raw, rf"boxes\.json: categories - wanted each {what} once - got {value!r} 2 times")


def test_names_of_classes_that_differ_in_blanks_are_refused(tmp_path: Path) -> None:
    content = coco([0], BOXES[:1])
    content["categories"][2]["name"] = "bee "
    raw = folder(tmp_path / "raw", {"0.png": coded(pictures(1)[0]), "boxes.json": json.dumps(content)})
    refused(tmp_path, raw, r"boxes\.json: categories - wanted classes whose names can be told apart - got 'bee' and 'bee '")
    boxes = {f"Annotations/p{number}.xml": voc([(name, 1, 1, 9, 8, 0)]) for number, name in enumerate(("caf\u00e9", "cafe\u0301"))}
    files = {f"JPEGImages/p{number}.png": coded(picture) for number, picture in enumerate(pictures(2))}
    refused(tmp_path, folder(tmp_path / "voc", {**files, **boxes}), r"Annotations - wanted classes whose names can be told apart")


def test_pictures_fit_in_a_frame_and_boxes_go_with_them(tmp_path: Path) -> None:
    """Ten by eight pixels in a frame of ten by ten rows are left; twenty by eight are halved, and black lies below."""
    wide = np.full((8, 20, 3), 200, np.uint8)
    images = [coded(picture) for picture in pictures(9)] + [coded(wide)]
    raw = table(tmp_path / "raw.parquet", images, [*BOXES[:9], [(2, 4, 20, 8, 1)]], SPLITS)
    found = prepared(tmp_path / "out", raw, size=(9, 10), channels=3)
    assert found["train"][1] == wanted("train")
    pixels = np.frombuffer(found["test"][0][1], np.uint8).reshape(3, 9, 10)
    assert (pixels[:, :4] == 200).all()
    assert (pixels[:, 4:] == 0).all()
    assert found["test"][1][-1] == (1, 1, 2, 10, 4, 1, 0)


def test_boxes_are_cut_at_the_edges_and_those_without_area_are_left_out(tmp_path: Path) -> None:
    boxes = [[(-3, 2, 12, 9, 0), (4, 4, 4, 6, 0), (20, 0, 30, 5, 1)], *BOXES[1:]]
    raw = table(tmp_path / "raw.parquet", list(map(coded, pictures(10))), boxes, SPLITS)
    (tmp_path / "out").mkdir()
    facts = prepare(PrepareSettings(), raw, tmp_path / "out", torch.Generator())
    assert facts["dropped_boxes"] == 2
    assert facts["train_boxes"] == 5
    assert read_parquet(tmp_path / "out/train-boxes.parquet")["box"][0].tolist() == [0, 2, 10, 8]


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    good, path = list(map(coded, pictures(10))), tmp_path / "raw.parquet"
    refused(tmp_path, tmp_path / "nowhere", "nowhere - wanted a folder, .parquet or .json of pictures with boxes - there is nothing")
    refused(
        tmp_path,
        table(path, good, BOXES, ["eval"] * 10),
        r"wanted splits of train, .*, testing - got \['eval'\]",
    )
    refused(tmp_path, table(path, good, BOXES, ["val"] * 10), r"wanted rows of the split train - got \['valid'\]")
    refused(tmp_path, classified(path, good, [0] * 10), r"wanted a column boxes of lists of xmin, .* - got \['image', 'label'\]")
    refused(tmp_path, table(path, good, BOXES, ["train"] * 6 + ["val"] + ["test"] * 3), "wanted boxes in each split, .* none in valid")
    refused(tmp_path, table(path, good, BOXES, SPLITS, ["ant", "bee"]), "wanted labels from 0 to 1, one for each of the classes ant, bee")
    refused(
        tmp_path, table(path, [good[0], b"nothing", *good[2:]], BOXES, SPLITS), r"raw\.parquet, row 1 - wanted a picture \(PNG or JPEG\)"
    )
    small = coded(pictures(1, height=7)[0])
    refused(
        tmp_path, table(path, [*good[:2], small, *good[3:]], BOXES, SPLITS), "row 2 - wanted 3 channels of 8 by 10 pixels .* got 3 .* 7 by"
    )
    refused(tmp_path, table(path, [*good[:9], small], BOXES, ["train", "val"] * 4 + ["train", "test"]), "one form .*'test': .3, 7, 10.")
    turned = [[(7, 2, 1, 6, 0)], *BOXES[1:]]
    refused(tmp_path, table(path, good, turned, SPLITS), r"row 0 - wanted boxes from their left upper .* got \[7.0, 2.0, 1.0, 6.0\]")
    path.write_bytes(b"PAR")
    refused(tmp_path, path, "wanted a Parquet table")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"annotations": [{"image_id": 100, "category_id": 10, "bbox": [1, 2, 3]}]},
            "boxes.json: annotations.0.bbox.3 - wanted COCO's images",
        ),
        (
            {"annotations": [{"image_id": 7, "category_id": 10, "bbox": [1, 2, 3, 4]}]},
            "annotations.0.image_id - wanted the id of one of the",
        ),
        ({"annotations": [{"image_id": 100, "category_id": 7, "bbox": [1, 2, 3, 4]}]}, "annotations.0.category_id - wanted the id of one"),
        ({"images": [{"id": 100, "file_name": "lost.png"}], "annotations": []}, "wanted the picture lost.png in .* there is none"),
        (
            {"annotations": [{"image_id": 100, "category_id": 10, "bbox": [1, 2, 3, "4"]}]},
            "annotations.0.bbox.3 - wanted .* - it should be a number, got '4' in quotation marks",
        ),
        ({"images": [{"id": 100, "file_name": "0.png", "width": "10"}]}, "images.0.width - wanted .* got '10' in quotation marks"),
        ({"categories": None}, "boxes.json: categories - wanted COCO's images, annotations and categories"),
    ],
)
def test_coco_that_cannot_be_read_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    files: dict[str, bytes | str] = {"0.png": coded(pictures(1)[0]), "boxes.json": json.dumps(coco([0], BOXES[:1], **change))}
    refused(tmp_path, folder(tmp_path / "raw", files), words)


def test_files_of_coco_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    first, other = json.dumps(coco([], [])), json.dumps(coco([], [], categories=[{"id": 1, "name": "dog"}]))
    refused(tmp_path, folder(tmp_path / "a", {"train.json": first, "val.json": other}), "val.json: categories - wanted those of train.json")
    refused(tmp_path, folder(tmp_path / "b", {"train.json": first, "more.json": first}), "more.json - wanted one of train, val, test in")
    refused(
        tmp_path, folder(tmp_path / "c", {"val.json": first, "valid.json": first}), "wanted one file for each split - there are two for"
    )
    refused(
        tmp_path, folder(tmp_path / "f", {"val.json": first, "test.json": first}), r"wanted pictures to train on - got \['test', 'valid'\]"
    )
    refused(tmp_path, folder(tmp_path / "d", {"README.md": "Nothing."}), "d - wanted COCO's .json files or Pascal VOC's Annotations")
    refused(tmp_path, folder(tmp_path / "e", {"train.json": "{\n]"}), r"train.json:2 - wanted JSON")
    refused(tmp_path, folder(tmp_path / "g", {"boxes.json": "5"}) / "boxes.json", r"boxes.json: the file - wanted COCO's images")


@pytest.mark.parametrize("name", ["ymax", "label"])
def test_boxes_of_text_in_a_table_are_refused(tmp_path: Path, name: str) -> None:
    raw = table(tmp_path / "raw.parquet", [coded(pictures(1)[0])], BOXES[:1])
    found = pq.read_table(raw)
    texts = [[{**box, name: str(box[name])} for box in row] for row in found["boxes"].to_pylist()]
    pq.write_table(found.set_column(found.column_names.index("boxes"), "boxes", [texts]), raw)
    refused(tmp_path, raw, rf"raw\.parquet - wanted numbers as {name} of a box - got string")


def test_a_wrong_description_of_scenes_is_refused(tmp_path: Path) -> None:
    wrong = json.loads(SCENES.read_text()) | {"most": 0}
    refused(
        tmp_path, folder(tmp_path, {"scenes.json": json.dumps(wrong)}) / "scenes.json", "scenes.json: most - wanted the generator scenes"
    )


def test_voc_that_cannot_be_read_is_refused_by_its_line(tmp_path: Path) -> None:
    picture, good = coded(pictures(1)[0]), voc([("dog", 1, 1, 10, 8, 0), ("ant", 2, 3, 4, 5, 0)])

    def raw(name: str, text: str, **more: str) -> Path:
        return folder(tmp_path / name, {"JPEGImages/p.png": picture, "Annotations/p.xml": text, **more})

    refused(
        tmp_path, raw("a", good.replace(">4<", ">four<")), r"p.xml:7 - wanted numbers xmin, ymin, xmax and ymax .* got \['2', '3', 'four'"
    )
    refused(tmp_path, raw("b", good.replace("<name>dog</name>", "")), r"p.xml:3 - wanted a name for the object - there is none")
    refused(tmp_path, raw("c", good.replace("</annotation>", "")), r"p.xml:11 - wanted XML - ")
    refused(tmp_path, raw("d", good, **{"ImageSets/Main/train.txt": "p q"}), r"q.xml - wanted a file that can be read - No such file")
    refused(tmp_path, raw("e", good, **{"ImageSets/Main/train.txt": ""}), "wanted pictures in each split - there are none in train")
    refused(tmp_path, raw("f", good, **{"ImageSets/Main/train.txt": "p p"}), r"train.txt - wanted each picture once - 'p' is there 2 times")
    (tmp_path / "b/JPEGImages/p.png").unlink()
    (tmp_path / "b/Annotations/p.xml").write_text(good)
    refused(tmp_path, tmp_path / "b", "JPEGImages - wanted the picture p - there is none")
