"""The benchmarks of pictures on a few noisy squares: what they draw, measure and compare."""

from __future__ import annotations

import io
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import _cells, picture_ranks, pictures
from stillhouse.training.files import read_parquet, write_parquet


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one set of noisy pictures of two classes, and settings under which it takes seconds."""
    rng = np.random.default_rng(0)
    table = {"image": [_picture(rng, index % 2) for index in range(252)], "label": np.arange(252) % 2}
    write_parquet(tmp_path / "data" / "squares.parquet", table | {"split": ["train"] * 40 + ["val"] * 12 + ["test"] * 200})
    settings = deepcopy(pictures.settings)
    settings |= {"seeds": [1], "draw": {"train": 32, "val": 8, "test": 150}, "prepare": {"size": 8}}
    settings["sets"] = {"squares": "squares.parquet"}
    settings["teach"]["model"] |= {"width": 4, "blocks": [2, 2]}
    settings["teach"]["fit"]["epochs"] = 1
    settings["teach"]["data"] |= {"batch_size": 8}
    settings["students"] = {method: block for method, block in settings["students"].items() if method.endswith("@0.25")}
    for block in settings["students"].values():
        block["distill"]["fit"]["epochs"] = 1
        if "candidates" in block["search"].get("settings", {}):
            block["search"]["settings"]["candidates"] = 3
    monkeypatch.setattr(pictures, "settings", settings)
    for module in (pictures, _cells):
        monkeypatch.setattr(module, "WORK", tmp_path / "work")
    return tmp_path / "data"


def _picture(rng: np.random.Generator, bright: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray((rng.integers(0, 200, (8, 8)) + 50 * bright).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_each_seed_draws_pictures_of_its_own_from_each_split(small: Path) -> None:
    whole = read_parquet(small / "squares.parquet")
    drawn = [read_parquet(pictures.drawn("squares", small / "squares.parquet", pictures.settings["draw"], seed)) for seed in (1, 2)]
    assert drawn[0]["image"] != drawn[1]["image"]
    for table in drawn:
        assert [list(table["split"]).count(split) for split in ("train", "val", "test")] == [32, 8, 150]
        for image, label, split in zip(table["image"], table["label"], table["split"], strict=True):
            place = whole["image"].index(image)
            assert (int(whole["label"][place]), whole["split"][place]) == (int(label), split)


def test_every_student_is_measured_inside_its_budget(small: Path) -> None:
    rows = {(row["method"], row["metric"]): row for row in pictures.run(small)}
    methods = {method for method, _ in rows}
    assert methods == {"teacher", *pictures.settings["students"]}
    for method in methods - {"teacher"}:
        share = float(method.partition("@")[2])
        assert 0.8 * share < rows[method, "macs_share"]["mean"] <= share
        assert rows[method, "accuracy"]["seeds"] == 1
        assert 0 < rows[method, "search_epochs"]["mean"] < rows[method, "student_epochs"]["mean"]
    assert rows["uniform@0.25", "search_epochs"]["mean"] < rows["dms@0.25", "search_epochs"]["mean"]


def test_ranks_of_random_students(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"set": "squares", "seed": 1, "draws": 4, "searched": ["uniform@0.25"], "teach": pictures.settings["teach"]}
    monkeypatch.setattr(picture_ranks, "settings", picture_ranks.settings | chosen)
    rows = {(row["method"], row["metric"]): row for row in picture_ranks.run(small)}
    assert rows["random draws", "accuracy"]["seeds"] == 4
    assert ("uniform@0.25, shape alone", "accuracy") in rows
    found = [picture_ranks._scores(cell) for cell in _draws(small)]
    assert len({score["weights"] for score in found}) > 1
    assert all(len({score[name] for score in found}) == 4 for name in ("zico", "gradsign"))


def _draws(data: Path) -> list[_cells.Cell]:
    (entry,) = pictures.sets(data)
    return [picture_ranks._cell(entry, f"draw{index}", {"index": index}) for index in range(4)]
