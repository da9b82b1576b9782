"""Prepared pictures and masks: byte for byte the same, side by side, splits apart, and every mistake in one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.pictures._shared import shelf
from stillhouse.workloads.pictures._shared.scenes import read_scenes
from stillhouse.workloads.pictures.segment.decode import Form, decode
from stillhouse.workloads.pictures.segment.prepare import PrepareSettings, classes_of, prepare
from tests.workloads.pictures.segment.raws import SCENES, coded, folder, masks, pixels, table

Rows = list[tuple[str, bytes, bytes]]


def prepared(path: Path, raw: Path, seed: int = 0, **settings: Any) -> dict[str, Rows]:
    """Split -> (name, bytes of the picture, bytes of the mask)."""
    path.mkdir(exist_ok=True)
    prepare(PrepareSettings(**settings), raw, path, torch.Generator().manual_seed(seed))
    columns = {name: read_parquet(path / f"{name}.parquet") for name in ("train", "valid", "test")}
    return {name: list(zip(column["name"], column["image"], column["mask"], strict=True)) for name, column in columns.items()}


def refused(tmp_path: Path, raw: Path, words: str, **settings: Any) -> None:
    with pytest.raises(UserError, match=words):
        prepared(tmp_path / "out", raw, **settings)
    assert not list((tmp_path / "out").glob("*.parquet"))


def rows(names: list[str], images: np.ndarray, numbers: np.ndarray) -> Rows:
    return [(name, image.tobytes(), mask.tobytes()) for name, image, mask in zip(names, images, numbers, strict=True)]


def test_twice_gives_equal_bytes_and_another_seed_another_split(tmp_path: Path) -> None:
    images, numbers = pixels(12), masks(12)
    names = [f"{part}/{number}" for number in range(12) for part in ("images", "masks")]
    contents = [coded(value) for pair in zip(images, numbers, strict=True) for value in pair]
    raw = folder(tmp_path / "raw", {f"{name}.png": content for name, content in zip(names, contents, strict=True)})
    found = {name: prepared(tmp_path / name, raw, seed, test_share=0.3) for name, seed in (("a", 0), ("b", 0), ("c", 1))}
    first, again = ({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())} for name in "ab")
    assert first == again
    assert found["a"]["test"] != found["c"]["test"]
    assert {split: len(found["a"][split]) for split in found["a"]} == {"train": 7, "valid": 1, "test": 4}
    assert sorted(chain.from_iterable(found["a"].values())) == sorted(rows([str(number) for number in range(12)], images, numbers))


def test_the_scenes_are_those_that_are_described(tmp_path: Path) -> None:
    found, scenes = prepared(tmp_path / "out", SCENES), read_scenes(SCENES)
    for split, wanted in scenes.items():
        names = [f"{split}{number}" for number in range(len(wanted.mask))]
        assert found[split] == rows(names, wanted.image, wanted.mask)
    facts = read_json(tmp_path / "out/facts.json")
    assert facts["names"] == ["ground", *"0123456789"]
    assert {name: facts[name] for name in ("channels", "height", "width", "classes")} == {
        "channels": 1,
        "height": 48,
        "width": 64,
        "classes": 11,
    }
    assert facts["mean"] == pytest.approx([(scenes["train"].image / 255).mean()], rel=1e-12)
    assert facts["deviation"] == pytest.approx([(scenes["train"].image / 255).std()], rel=1e-12)


def test_a_table_says_what_has_no_class_and_a_drive_is_held_out(tmp_path: Path) -> None:
    """The number of no class lies between two others; what is above it goes down by one."""
    images, numbers = pixels(6), masks(6, classes=4)
    numbers[0, 0] = 255
    splits, names = ["train"] * 4 + ["val", "test"], ["a1", "b1", "a2", "b2", "b3", "b4"]
    facts = {"classes": ["sky", "nothing", "road", "tree"], "ignore_index": 1, "name": "more that is not used"}
    contents = [coded(image) for image in images], [coded(mask) for mask in numbers]
    raw = table(tmp_path / "raw.parquet", *contents, facts, split=splits, id=names)
    wanted = np.select([numbers == 1, numbers == 255, numbers > 1], [255, 255, numbers.astype(int) - 1], numbers).astype(np.uint8)
    ours = rows(names, images, wanted)
    assert prepared(tmp_path / "out", raw) == {"train": ours[:4], "valid": ours[4:5], "test": ours[5:]}
    assert read_json(tmp_path / "out/facts.json")["names"] == ["sky", "road", "tree"]
    assert prepared(tmp_path / "out", raw, valid_names="b") == {"train": [ours[0], ours[2]], "valid": [ours[1], ours[3]], "test": ours[5:]}
    kept = prepared(tmp_path / "out", raw, void=3)
    assert kept["test"][0][2] == np.where(numbers[5] == 3, 255, numbers[5]).astype(np.uint8).tobytes()
    assert read_json(tmp_path / "out/facts.json")["names"] == ["sky", "nothing", "road"]


@pytest.mark.parametrize("void", [None, 0, 7, 254])
def test_numbers_without_the_one_of_no_class(void: int | None) -> None:
    every = np.arange(256, dtype=np.uint8)
    left = sorted(set(range(255)) - {void})
    assert classes_of(shelf.Rows.of(every), void)[:].tolist() == [left.index(number) if number in left else 255 for number in range(256)]


def test_folders_of_splits(tmp_path: Path) -> None:
    """Pictures and masks may have other suffixes and lie deeper; a mask with a palette holds numbers, not colours."""
    images, numbers = pixels(3), masks(3)
    contents = {}
    for place, image, mask in zip(("train/images/town/1", "val/images/1", "test/images/1"), images, numbers, strict=True):
        contents[f"{place}.PNG"] = coded(image)
        contents[f"{place.replace('images', 'masks')}.png"] = coded(mask)
    raw = folder(tmp_path / "raw", contents)
    colours = Image.open(raw / "val/masks/1.png").convert("P")
    colours.putdata(numbers[1].ravel().tolist())
    colours.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    colours.save(raw / "val/masks/1.png")
    (raw / "train/images/notes.txt").write_text("Not a picture.")
    with pytest.warns(UserWarning, match=r"images - left out what is no picture: notes\.txt$"):
        found = prepared(tmp_path / "out", raw)
    assert list(chain.from_iterable(found.values())) == rows(["town/1", "1", "1"], images, numbers)


def test_splits_may_lie_within_the_folders_of_pictures_and_of_masks(tmp_path: Path) -> None:
    images, numbers = pixels(6), masks(6)
    names = [f"{split}/{number}.png" for split in ("Train", "val", "test") for number in (1, 2)]
    contents = {f"images/{name}": coded(image) for name, image in zip(names, images, strict=True)}
    raw = folder(tmp_path / "raw", contents | {f"masks/{name}": coded(mask) for name, mask in zip(names, numbers, strict=True)})
    found = prepared(tmp_path / "out", raw)
    assert list(chain.from_iterable(found.values())) == rows(["1", "2"] * 3, images, numbers)


def test_pictures_and_masks_are_brought_to_one_size_together(tmp_path: Path) -> None:
    """Left dark and of class 0, right bright and of class 1, above and below what is cut off, of class 2."""
    image, mask = np.zeros((3, 48, 24), np.uint8), np.full((48, 24), 2, np.uint8)
    image[:, :, 12:], mask[12:36, :12], mask[12:36, 12:] = 240, 0, 1
    both = [coded(image)] * 4, [coded(mask)] * 4
    found = prepared(tmp_path / "out", table(tmp_path / "raw.parquet", *both), size=(8, 8), channels=1)
    for _, picture, numbers in chain.from_iterable(found.values()):
        assert np.frombuffer(numbers, np.uint8).reshape(8, 8).tolist() == [[0] * 4 + [1] * 4] * 8
        bright = np.frombuffer(picture, np.uint8).reshape(8, 8)
        assert (bright[:, 5:] > 200).all()
        assert (bright[:, :3] < 40).all()


def test_what_is_no_pair_is_refused_by_its_place(tmp_path: Path) -> None:
    image, mask, path = coded(pixels(1)[0]), coded(masks(1)[0]), tmp_path / "raw.parquet"
    refused(tmp_path, table(path, [image] * 2, [mask, image]), r"row 1, column mask - wanted a mask of one number .* got the mode RGB")
    low = coded(masks(1, height=4)[0])
    refused(tmp_path, table(path, [image] * 2, [mask, low]), r"row 1, column mask - wanted a mask of 6 by 5 pixels .* got 4 by 5")
    refused(tmp_path, table(path, [image] * 2, [mask, b"x"]), r"row 1, column mask - wanted a picture \(PNG or JPEG\)")
    small = coded(pixels(1, height=4)[0])
    refused(tmp_path, table(path, [image, small], [mask, low]), r"row 1 - wanted 3 channels of 6 by 5 .* got 3 channels of 4 by 5 pixels")
    parts = table(path, [image, image, small], [mask, mask, low], split=["train", "train", "test"])
    refused(tmp_path, parts, r"wanted pictures of one form .*'test': \(3, 4, 5\)")


def narrow(numbers: np.ndarray, bits: int) -> bytes:
    """A grey PNG of so many bits a pixel, which Pillow does not write."""
    rows = [b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()).tobytes() for row in numbers]
    head = struct.pack(">IIBBBBB", *numbers.shape[::-1], bits, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    chunks = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_mask_of_few_bits_a_pixel_has_the_numbers_that_are_written(bits: int) -> None:
    numbers = (np.arange(64).reshape(8, 8) % min(2**bits, 5)).astype(np.uint8)
    picture = coded(pixels(1)[0])
    small = np.asarray(Image.open(io.BytesIO(picture))).shape[:2]
    numbers = np.resize(numbers, small)
    found = decode(("a", lambda: picture), ("b", lambda: narrow(numbers, bits)), Form())[1]
    assert found.tolist() == numbers.tolist()


def test_masks_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    image, path = coded(pixels(1)[0]), tmp_path / "raw.parquet"
    for numbers, words in (
        ([0, 255], r"wanted masks of two classes at least, beside 255 for pixels that have none - got the numbers \[0\]"),
        ([0, 1, 4], "wanted masks whose numbers are classes from 0 to 4 - 2 is in none of them"),
    ):
        mask = np.resize(np.array(numbers, np.uint8), (6, 5))
        refused(tmp_path, table(path, [image] * 4, [coded(mask)] * 4), words)
    raw = table(path, [image] * 4, [coded(masks(1)[0])] * 4, id=["a1", "a2", "a3", "a4"])
    for begin, count in (("b", 0), ("a", 4)):
        words = rf"wanted some training pictures, not all, with names that begin with '{begin}' \(`valid_names`\) - got {count} of 4"
        refused(tmp_path, raw, words, valid_names=begin)
    refused(tmp_path, table(path, [image] * 4, [coded(masks(1)[0])] * 4, {"classes": 3}), "wanted JSON as the metadata `dataset`")


def test_places_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    image, mask = coded(pixels(1)[0]), coded(masks(1)[0])
    refused(tmp_path, tmp_path / "nowhere", "wanted a folder, .parquet or .json of pictures with masks - there is nothing")
    refused(tmp_path, folder(tmp_path / "a", {"images/1.txt": image}), r"a - wanted folders images, of \.jpeg, \.jpg, \.png files")
    refused(tmp_path, folder(tmp_path / "b", {"images/1.png": image, "masks/2.png": mask}), r"masks - wanted a mask 1 for each picture")
    refused(tmp_path, folder(tmp_path / "c", {"test/images/1.png": image}), "c - wanted a folder train beside test - there is none")
    extra = folder(tmp_path / "d", {"images/1.png": image, "masks/1.png": mask, "masks/2.png": mask})
    refused(tmp_path, extra, r"images - wanted a picture 2 for each mask in .*masks - there is none")
    twice = folder(tmp_path / "e", {"images/1.png": image, "images/1.jpg": image, "masks/1.png": mask})
    refused(tmp_path, twice, r"images - wanted one file named 1 - got 1\.jpg and 1\.png")
    other = folder(tmp_path / "f", {"images/train/1.png": image, "masks/train/1.png": mask, "images/val/1.png": image})
    refused(tmp_path, other, r"masks - wanted the splits of .*images, train, valid - got train")
    path = tmp_path / "raw.parquet"
    refused(tmp_path, table(path, [image], [mask]), "wanted two training pictures at least, to hold some out - got 1")
    refused(tmp_path, table(path, [image] * 2, [mask, None]), "wanted a value in each row of column mask - 1 are missing")


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"size should be a height and a width from 1: got \[0, 4\]"):
        PrepareSettings(size=(0, 4))
    with pytest.raises(ValidationError, match="less than 255"):
        PrepareSettings(void=255)
