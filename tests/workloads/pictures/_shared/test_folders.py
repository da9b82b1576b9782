"""Folders and tables as people have them: nothing is passed over in silence, and no folder of a split is taken for a class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from tests.workloads.pictures.classify.raws import coded, folder, pixels

GOOD = [coded(picture) for picture in pixels(12)]


def counts(tmp_path: Path, raw: Path) -> dict[str, float]:
    (out := tmp_path / "out").mkdir(exist_ok=True)
    return prepare(PrepareSettings(), raw, out, torch.Generator().manual_seed(0))


def refused(tmp_path: Path, raw: Path, words: str) -> None:
    with pytest.raises(UserError, match=words):
        counts(tmp_path, raw)


def classes(path: Path, **more: bytes) -> Path:
    """Two classes of six pictures, and more files."""
    return folder(path, {f"{name}/{number}.png": GOOD[number] for name in ("ant", "bee") for number in range(6)} | more)


def test_folders_of_splits_are_known_in_any_spelling(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", {f"{split}/{name}/1.png": GOOD[0] for split in ("TRAIN", "Dev", "testing") for name in ("ant", "bee")})
    assert counts(tmp_path, raw) == {"train_pictures": 2, "valid_pictures": 2, "test_pictures": 2, "classes": 2}


@pytest.mark.parametrize("name", ["9.heic", "9.avif", "9.jfif", "9.ppm", "9.svg", "9.NPY"])
def test_a_picture_of_another_format_is_named(tmp_path: Path, name: str) -> None:
    refused(tmp_path, classes(tmp_path / "raw", **{f"bee/{name}": b"?"}), rf"bee/{name} - wanted pictures as \.jpeg, \.jpg, \.png - got")


def test_what_is_no_picture_is_left_out_with_a_warning(tmp_path: Path) -> None:
    others = {f"bee/{name}": b"?" for name in ("notes.txt", "labels.csv", "a.pdf", "b.pdf", "Thumbs.db", "@eaDir/1.png", ".x")}
    with pytest.warns(UserWarning, match=r"bee - left out what is no picture: a\.pdf, b\.pdf, labels\.csv, \.\.\.$"):
        assert counts(tmp_path, classes(tmp_path / "raw", **others))["classes"] == 2


def test_places_without_a_class_are_named(tmp_path: Path) -> None:
    beside = classes(tmp_path / "a", **{"top.png": GOOD[0]})
    refused(tmp_path, beside, r"top\.png - wanted pictures in folders, one for each class - got one")
    (classes(tmp_path / "b") / "cow").mkdir()
    refused(tmp_path, tmp_path / "b", "cow - wanted .* files in the folder of a class - there are none")
    two = classes(tmp_path / "c", **{"Caf\u00e9/1.png": GOOD[0], "Cafe\u0301/1.png": GOOD[1]})
    refused(tmp_path, two, "wanted one folder of the class Caf\u00e9 - there are two")


def written(path: Path, count: int, names: list[str] | None = None, **columns: Any) -> None:
    found = pa.table({"image": GOOD[:count], "label": [number % 2 for number in range(count)], **columns})
    said = {"info": {"features": {"label": {"names": names}}}}
    parquet.write_table(found.replace_schema_metadata({"huggingface": json.dumps(said)} if names else None), path)


def test_several_tables_are_one_and_say_splits_and_names_of_classes(tmp_path: Path) -> None:
    (raw := tmp_path / "raw/data").mkdir(parents=True)
    for name, count in (("train-00000-of-00002", 4), ("train-00001-of-00002", 6), ("validation-00000-of-00001", 3)):
        written(raw / f"{name}.parquet", count, ["ant", "bee"])
    assert counts(tmp_path, raw.parent) == {"train_pictures": 8, "valid_pictures": 3, "test_pictures": 2, "classes": 2}
    assert read_json(tmp_path / "out/facts.json")["names"] == ["ant", "bee"]
    written(raw / "more.parquet", 2, ["ant", "bee"])
    refused(tmp_path, raw.parent, r"more\.parquet - wanted a split in its name, as its neighbours have")


def test_several_tables_without_splits_are_for_training(tmp_path: Path) -> None:
    (raw := tmp_path / "raw").mkdir()
    written(raw / "a.parquet", 4)
    written(raw / "b.parquet", 6)
    assert sum(counts(tmp_path, raw)[f"{split}_pictures"] for split in ("train", "valid", "test")) == 10
    written(raw / "b.parquet", 6, label=["ant"] * 6)
    refused(tmp_path, raw, "raw - wanted tables of the same columns - ")


def test_more_numbers_than_names_are_told(tmp_path: Path) -> None:
    written(tmp_path / "raw.parquet", 4, ["ant"])
    refused(tmp_path, tmp_path / "raw.parquet", "wanted labels below 1, the number of names in its metadata - got 1")
