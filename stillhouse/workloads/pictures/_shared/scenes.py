"""Scenes: handwritten digits of several sizes on a noisy ground, with the class of every pixel and the box of every digit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.training.packaged import read_pointer
from stillhouse.workloads.pictures._shared.digits import Digits, DigitsPointer, read_digits

SIDES = (12, 24)
"""The least and the most height and width of a digit in a scene, in pixels."""
_INK = 96
"""The least brightness of a pixel that is part of a digit."""
_GROUND = 64
"""The ground is darker than this."""
_DIMMEST = 0.6
"""The least share of its brightness that a digit keeps."""
_ATTEMPTS = 20


@dataclass(frozen=True)
class Scenes:
    """Pictures, what their pixels are, and what is where in them."""

    image: np.ndarray
    """(scenes, height, width), uint8."""
    mask: np.ndarray
    """(scenes, height, width), uint8: 0 for the ground, a digit plus 1 for its ink."""
    boxes: list[np.ndarray]
    """For each scene (digits, 4), float32: xmin, ymin, xmax, ymax in pixels around the ink, the last two just behind it."""
    labels: list[np.ndarray]
    """For each scene (digits,), int64: the digits."""


MOST_PIXELS, MOST_DIGITS = 2**28, 1000
"""Of all scenes, a byte each and one for their masks; and of digits in a scene."""


class _Counts(Settings):
    train: int = Field(gt=0)
    valid: int = Field(gt=0)
    test: int = Field(gt=0)


class _Pointer(Settings):
    generator: Literal["scenes"]
    digits: DigitsPointer
    counts: _Counts
    height: int = Field(ge=SIDES[0])
    width: int = Field(ge=SIDES[0])
    most: int = Field(gt=0, le=MOST_DIGITS)
    seed: int = Field(ge=0)


def read_scenes(raw: Path) -> dict[Literal["train", "valid", "test"], Scenes]:
    """The scenes that a JSON file describes; no digit is in two splits. Raises UserError at what is no such description."""
    wanted = "the generator scenes, digits, counts, height, width, most and seed"
    pointer = read_pointer(raw, _Pointer, wanted)
    size = sum(pointer.counts.model_dump().values()) * pointer.height * pointer.width
    if size > MOST_PIXELS:
        raise UserError(f"{raw} - wanted scenes of {MOST_PIXELS} pixels at most in all - got {size}")
    rng = np.random.default_rng(pointer.seed)
    digits, counts = read_digits(f"{raw}: digits", pointer.digits), pointer.counts
    order = rng.permutation(len(digits.label))
    parts = np.cumsum([counts.train, counts.valid, counts.test]) * len(order) // (counts.train + counts.valid + counts.test)
    train, valid, test = (digits.rows(np.sort(rows)) for rows in np.split(order, parts[:-1]))
    size, most = (pointer.height, pointer.width), pointer.most
    try:
        return {
            "train": compose(train, counts.train, size, most, rng),
            "valid": compose(valid, counts.valid, size, most, rng),
            "test": compose(test, counts.test, size, most, rng),
        }
    except UserError as error:
        raise UserError(f"{raw} - {error}") from None


def compose(digits: Digits, count: int, size: tuple[int, int], most: int, rng: np.random.Generator) -> Scenes:
    """`count` scenes of `size` (height, width) with one to `most` digits each; fewer where there is no place left.

    No two digits overlap. Raises UserError if there are no digits or a scene is too small for one.
    """
    if min(size) < SIDES[0]:
        raise UserError(f"wanted scenes of {SIDES[0]} by {SIDES[0]} pixels at least - got {size[0]} by {size[1]}")
    if not len(digits.label):
        raise UserError("wanted digits to compose scenes of - got none")
    if (brightest := digits.image.max()) < _INK:
        raise UserError(
            f"wanted digits with pixels of {_INK} of 255 at least, as `digits: {{highest}}` scales them - got {brightest} at most"
        )
    image = rng.integers(0, _GROUND, (count, *size), dtype=np.uint8)
    mask = np.zeros_like(image)
    found = [_filled(picture, classes, digits, most, rng) for picture, classes in zip(image, mask, strict=True)]
    return Scenes(image, mask, [boxes for boxes, _ in found], [labels for _, labels in found])


def _filled(image: np.ndarray, mask: np.ndarray, digits: Digits, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws digits into (height, width) in place; their boxes and their classes."""
    taken = np.zeros(image.shape, dtype=bool)
    boxes, labels = [], []
    for _ in range(rng.integers(1, most + 1)):
        side = int(rng.integers(SIDES[0], min(SIDES[1], *image.shape) + 1))
        place = _free(taken, side, rng)
        if place is None:
            continue
        row = int(rng.integers(len(digits.label)))
        ink = np.asarray(Image.fromarray(digits.image[row]).resize((side, side), Image.Resampling.BILINEAR))
        if not (ink >= _INK).any():
            continue
        taken[place] = True
        shade = (ink * rng.uniform(_DIMMEST, 1)).astype(np.uint8)
        image[place] = np.maximum(image[place], shade)
        mask[place][ink >= _INK] = digits.label[row] + 1
        boxes.append(_box(ink >= _INK, place))
        labels.append(int(digits.label[row]))
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(labels, dtype=np.int64)


def _free(taken: np.ndarray, side: int, rng: np.random.Generator) -> tuple[slice, slice] | None:
    for _ in range(_ATTEMPTS):
        top, left = (int(rng.integers(size - side + 1)) for size in taken.shape)
        place = (slice(top, top + side), slice(left, left + side))
        if not taken[place].any():
            return place
    return None


def _box(ink: np.ndarray, place: tuple[slice, slice]) -> list[np.int64]:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    top, left = place[0].start, place[1].start
    return [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]
