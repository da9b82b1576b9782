"""Scenes: what a mask and a box say is what is in the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures._shared.digits import Digits
from stillhouse.workloads.pictures._shared.scenes import SIDES, Scenes, compose, read_scenes

RAW = Path(__file__).parents[4] / "data/raw/scenes.json"
BLOCKS = Digits(np.full((3, 8, 8), 255, np.uint8), np.array([0, 4, 9]))
"""Digits that are all ink."""


def composed(seed: int = 0, count: int = 40, most: int = 5) -> Scenes:
    return compose(BLOCKS, count, (40, 60), most, np.random.default_rng(seed))


def test_every_box_holds_its_digit_and_nothing_else() -> None:
    scenes = composed()
    for mask, boxes, labels in zip(scenes.mask, scenes.boxes, scenes.labels, strict=True):
        left = mask.copy()
        for (xmin, ymin, xmax, ymax), label in zip(boxes.astype(int), labels, strict=True):
            assert (left[ymin:ymax, xmin:xmax] == label + 1).all()
            assert SIDES[0] <= xmax - xmin == ymax - ymin <= SIDES[1]
            left[ymin:ymax, xmin:xmax] = 0
        assert not left.any()
    assert {len(labels) for labels in scenes.labels} >= {1, 2, 3}
    assert set(np.concatenate(scenes.labels)) == {0, 4, 9}
    assert {array.dtype.name for array in scenes.boxes} == {"float32"}
    assert {array.dtype.name for array in scenes.labels} == {"int64"}


def test_ink_is_brighter_than_the_ground() -> None:
    scenes = composed()
    assert scenes.image[scenes.mask > 0].min() > scenes.image[scenes.mask == 0].max()
    assert scenes.image[scenes.mask == 0].std() > 10


def test_the_same_seed_gives_the_same_scenes() -> None:
    first, again, other = composed(), composed(), composed(1)
    assert np.array_equal(first.image, again.image)
    assert all(np.array_equal(one, two) for one, two in zip(first.boxes, again.boxes, strict=True))
    assert not np.array_equal(first.image, other.image)


def test_a_full_scene_takes_no_more_digits() -> None:
    scenes = compose(BLOCKS, 20, (13, 13), 9, np.random.default_rng(0))
    assert [len(labels) for labels in scenes.labels] == [1] * 20


def test_scenes_that_cannot_be_composed_are_refused() -> None:
    with pytest.raises(UserError, match="wanted scenes of 12 by 12 pixels at least - got 11 by 40"):
        compose(BLOCKS, 1, (11, 40), 1, np.random.default_rng(0))
    with pytest.raises(UserError, match="wanted digits to compose scenes of - got none"):
        compose(BLOCKS.rows(np.arange(0)), 1, (20, 40), 1, np.random.default_rng(0))


def test_a_description_gives_splits_of_the_counts_it_names(tmp_path: Path) -> None:
    pointer = json.loads(RAW.read_text()) | {"counts": {"train": 6, "valid": 2, "test": 3}}
    (tmp_path / "scenes.json").write_text(json.dumps(pointer))
    splits = read_scenes(tmp_path / "scenes.json")
    assert {name: scenes.image.shape for name, scenes in splits.items()} == {
        "train": (6, 48, 64),
        "valid": (2, 48, 64),
        "test": (3, 48, 64),
    }
    (tmp_path / "scenes.json").write_text(json.dumps(pointer | {"width": 3}))
    with pytest.raises(UserError, match=r"scenes\.json: width - wanted the generator scenes, .* - it should be greater than"):
        read_scenes(tmp_path / "scenes.json")
    pointer["digits"]["package"] = "no-such-package"
    (tmp_path / "scenes.json").write_text(json.dumps(pointer))
    with pytest.raises(UserError, match=r"scenes\.json: digits: file - wanted .* of the package no-such-package - it is not installed"):
        read_scenes(tmp_path / "scenes.json")
