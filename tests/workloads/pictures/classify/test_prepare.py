"""Prepared tables: byte for byte the same, splits apart, and every mistake of the raw data in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from tests.workloads.pictures.classify.raws import DIGITS, coded, folder, pixels, table


def prepared(folder: Path, raw: Path, seed: int = 0, **settings: Any) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Split -> pictures as rows of bytes, and labels."""
    folder.mkdir(exist_ok=True)
    prepare(PrepareSettings(**settings), raw, folder, torch.Generator().manual_seed(seed))
    columns = {name: read_parquet(folder / f"{name}.parquet") for name in ("train", "valid", "test")}
    rows = {name: np.stack([np.frombuffer(row, np.uint8) for row in column["image"]]) for name, column in columns.items()}
    return {name: (rows[name], torch.as_tensor(column["label"]).tolist()) for name, column in columns.items()}


def refused(tmp_path: Path, raw: Path, words: str, **settings: Any) -> None:
    with pytest.raises(UserError, match=words):
        prepared(tmp_path / "out", raw, **settings)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_twice_gives_equal_bytes_and_another_seed_another_split(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepared(tmp_path / name, DIGITS, seed)
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())})
    assert contents[0] == contents[1]
    assert {name: contents[0][name] != contents[2][name] for name in ("train.parquet", "valid.parquet", "test.parquet")} == {
        "train.parquet": True,
        "valid.parquet": True,
        "test.parquet": True,
    }


def test_the_digits_are_those_of_their_package_and_each_is_in_one_split(tmp_path: Path) -> None:
    found = prepared(tmp_path / "out", DIGITS, valid_share=0.1, test_share=0.2)
    ours = sorted((*row, label) for rows, labels in found.values() for row, label in zip(rows.tolist(), labels, strict=True))
    images, labels = load_digits(return_X_y=True)
    scaled = np.round(images * 255 / 16).astype(int)
    assert ours == sorted((*row, label) for row, label in zip(scaled.tolist(), labels.tolist(), strict=True))
    assert {name: len(labels) for name, (_, labels) in found.items()} == {"train": 1294, "valid": 144, "test": 359}


def test_statistics_are_those_of_the_training_pictures(tmp_path: Path) -> None:
    images = pixels(12)
    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    labels = [0, 1, 2] * 4
    found = prepared(tmp_path / "out", table(tmp_path / "raw.parquet", [coded(image) for image in images], labels, splits))
    facts = read_json(tmp_path / "out/facts.json")
    assert {name: facts[name] for name in ("channels", "height", "width", "classes")} == {
        "channels": 3,
        "height": 6,
        "width": 5,
        "classes": 3,
    }
    assert facts["mean"] == pytest.approx((images[:6] / 255).mean((0, 2, 3)).tolist(), rel=1e-12)
    assert facts["deviation"] == pytest.approx((images[:6] / 255).std((0, 2, 3)).tolist(), rel=1e-12)
    for name, rows in (("train", slice(6)), ("valid", slice(6, 9)), ("test", slice(9, 12))):
        assert np.array_equal(found[name][0], images[rows].reshape(-1, 90))
        assert found[name][1] == labels[rows]


def test_pictures_that_are_all_one_colour_have_a_deviation(tmp_path: Path) -> None:
    black = coded(np.zeros((1, 4, 4), np.uint8))
    prepared(tmp_path / "out", table(tmp_path / "raw.parquet", [black] * 10, [0, 1] * 5))
    assert read_json(tmp_path / "out/facts.json")["deviation"] == [1 / 255]


@pytest.mark.parametrize("nested", [True, False])
def test_folders_of_classes(tmp_path: Path, nested: bool) -> None:
    images = pixels(8)
    places = ["train/cat/1.png", "train/cat/2.PNG", "train/ant/1.png", "train/ant/x.png"]
    places += ["val/cat/1.png", "val/ant/9.png", "test/ant/1.png", "test/cat/1.png"]
    if not nested:
        places = [f"{'cat' if 'cat' in place else 'ant'}/{number}.png" for number, place in enumerate(places)]
    raw = folder(tmp_path / "raw", {place: coded(image) for place, image in zip(places, images, strict=True)})
    (raw / "README.md").write_text("Not a picture.")
    found = prepared(tmp_path / "out", raw)
    assert read_json(tmp_path / "out/facts.json")["names"] == ["ant", "cat"]
    want = sorted((*image.ravel().tolist(), int("cat" in place)) for image, place in zip(images, places, strict=True))
    assert want == sorted((*row, label) for rows, labels in found.values() for row, label in zip(rows.tolist(), labels, strict=True))
    if nested:
        assert [labels for _, labels in found.values()] == [[0, 0, 1, 1], [0, 1], [0, 1]]


def test_pictures_are_brought_to_one_form(tmp_path: Path) -> None:
    """The middle of a wide picture, as many pixels as asked, in colour; a JPEG is near its original."""
    wide = np.zeros((3, 16, 48), np.uint8)
    wide[:, :, 8:40] = 200  # eight pixels more on each side, since resizing looks a little beyond what it cuts out
    grey = np.full((1, 6, 6), 90, np.uint8)
    raw = table(tmp_path / "raw.parquet", [coded(wide, "JPEG"), coded(grey)] * 5, [0, 1] * 5)
    found = prepared(tmp_path / "out", raw, size=2, channels=3)
    for rows, labels in found.values():
        for row, label in zip(rows, labels, strict=True):
            assert row.shape == (12,)
            assert abs(row.astype(int) - (90 if label else 200)).max() <= 12


def test_pictures_of_several_forms_are_refused(tmp_path: Path) -> None:
    small, large, grey = coded(pixels(1)[0]), coded(pixels(1, height=9)[0]), coded(pixels(1, channels=1)[0])
    raw = table(tmp_path / "raw.parquet", [small, large], [0, 0])
    refused(tmp_path, raw, r"raw\.parquet, row 1 - wanted 3 channels of 6 by 5 pixels as .*set `size` .* - got 3 channels of 9 by 5")
    raw = table(tmp_path / "raw.parquet", [small, grey], [0, 0])
    refused(tmp_path, raw, r"row 1 - wanted 3 channels of 6 by 5 pixels .* - got 1 channel of 6 by 5 pixels")
    raw = table(tmp_path / "raw.parquet", [small, small, large], [0, 0, 0], ["train", "train", "test"])
    refused(tmp_path, raw, r"wanted pictures of one form .* got .*'test': \(3, 9, 5\)")


def test_what_is_no_picture_is_refused_by_its_place(tmp_path: Path) -> None:
    good = coded(pixels(1)[0])
    raw = table(tmp_path / "raw.parquet", [good, b"not a picture"], [0, 0])
    refused(tmp_path, raw, r"raw\.parquet, row 1 - wanted a picture \(PNG or JPEG\) - cannot identify")
    raw = folder(tmp_path / "raw", {"ant/1.png": good, "ant/2.png": good[:60]})
    refused(tmp_path, raw, r"ant/2\.png - wanted a picture \(PNG or JPEG\) - ")


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    good, path = coded(pixels(1)[0]), tmp_path / "raw.parquet"
    refused(tmp_path, table(path, [good] * 3, [0, 2, 0]), "wanted training pictures of each class from 0 to 2 - there is none of 1")
    refused(tmp_path, table(path, [good] * 3, [0, -1, 0]), "wanted labels that are numbers from 0")
    refused(tmp_path, table(path, [good] * 3, [0, 0, 0]), r"raw\.parquet - wanted pictures of two classes at least - all are of one")
    refused(tmp_path, table(path, [good] * 3, [0, None, 0]), "wanted a value in each row of column label - 1 are missing")
    refused(
        tmp_path,
        table(path, [good] * 2, [0, 0], ["train", "eval"]),
        r"wanted splits of train, .*, testing - got \['eval'\]",
    )
    refused(tmp_path, table(path, [good] * 2, [0, 0], ["val", "test"]), r"wanted rows of the split train - got \['test', 'valid'\]")
    refused(tmp_path, table(path, [good], [0]), "wanted two training pictures at least, to hold some out - got 1")
    path.write_bytes(b"PAR")
    refused(tmp_path, path, "wanted a Parquet table")


def test_pictures_beside_tables_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    good = coded(pixels(1)[0])
    raw = folder(tmp_path / "raw", {"ant/1.png": good, "bee/2.JPG": good})
    table(raw / "train.parquet", [good] * 6, [0, 1] * 3)
    with pytest.warns(UserWarning, match=r"raw - left out 2 pictures beside the tables, .*ant/1\.png among them"):
        prepared(tmp_path / "out", raw)


def test_folders_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    good = coded(pixels(1)[0])
    refused(tmp_path, tmp_path / "nowhere", "wanted a folder, .parquet or .json of pictures - there is nothing")
    refused(tmp_path, folder(tmp_path / "a", {"ant/1.txt": good}), r"ant - wanted \.jpeg, \.jpg, \.png files in the folder of a class")
    refused(tmp_path, folder(tmp_path / "e", {"ant/1.png": good, "bee/2.WEBP": good}), r"bee/2\.WEBP - wanted pictures as .* - got \.WEBP")
    refused(tmp_path, folder(tmp_path / "b", {"test/ant/1.png": good}), "b - wanted a folder train beside test - there is none")
    both = folder(tmp_path / "d", {f"{split}/ant/1.png": good for split in ("train", "val", "valid")})
    refused(tmp_path, both, "d - wanted one folder of the split valid - got val and valid")
    raw = folder(tmp_path / "c", {"train/ant/1.png": good, "test/bee/1.png": good, "train/ant/2.png": good})
    refused(tmp_path, raw, "wanted training pictures of each class from 0 to 1 - there is none of 1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 9}, "wanted 9 times 8 pixels and a class - got 65 columns"),
        ({"highest": 15}, "wanted pixels from 0 to 15 - got 0.0 to 16.0"),
        ({"highest": 0}, "digits.json: highest - wanted a package, a file, height, width and highest - it should be greater than 0"),
        ({"package": "no-such-package"}, "wanted sklearn/datasets/data/digits.csv.gz of the package no-such-package - it is not installed"),
    ],
)
def test_a_wrong_pointer_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    raw = tmp_path / "digits.json"
    raw.write_text(json.dumps(json.loads(DIGITS.read_text()) | change))
    refused(tmp_path, raw, words)
