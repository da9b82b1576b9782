"""A raw picture with its boxes, whatever form it was found in, and the form that it is brought to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures._shared.decoded import Decoded
from stillhouse.workloads.pictures._shared.picture import opened, pixels, same_shape, to_channels
from stillhouse.workloads.pictures._shared.readable import Bad, readable
from stillhouse.workloads.pictures._shared.shelf import Rows
from stillhouse.workloads.pictures._shared.splits import Split

MOST_BOXES = 10_000
"""The most boxes of a picture."""


@dataclass(frozen=True)
class Item:
    """`content` gives the bytes of a coded picture, or (height, width) of grey pixels; boxes are in its own pixels."""

    place: str
    content: Callable[[], bytes | np.ndarray]
    boxes: np.ndarray
    """(boxes, 4), float32: xmin, ymin, xmax, ymax."""
    label: np.ndarray
    """(boxes,), int64, numbers from 0."""
    crowd: np.ndarray
    """(boxes,), whether a box need not be found."""
    drawn_on: tuple[int, int] | None = None
    """Width and height of the picture in whose pixels the boxes are, where the raw data say them."""


@dataclass(frozen=True)
class Source:
    """The splits that the raw data have, `train` at least, and the names of the classes."""

    splits: dict[Split, list[Item]]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """What pictures are brought to; None keeps a picture as it is."""

    channels: Literal[1, 3] | None = None
    """Grey, or red, green and blue."""
    size: tuple[int, int] | None = None
    """Height and width, in which a picture is resized to fit, at its own proportions; what is left at the right or below is black."""
    bad: Bad = "refuse"
    decoded: Decoded = field(default_factory=Decoded)
    """What counts the bytes of all of them."""


@dataclass(frozen=True)
class Pictures:
    """Some pictures of one form, and the rows of their boxes in the order of the pictures."""

    image: Rows
    """(pictures, channel, height, width), uint8."""
    picture: np.ndarray
    boxes: np.ndarray
    label: np.ndarray
    crowd: np.ndarray
    dropped: int
    """How many boxes had no area inside their picture and are left out."""
    skipped: int
    """How many pictures could not be read and are left out with their boxes."""


def gather(items: Sequence[Item], form: Form) -> Pictures:
    """Decodes and resizes. Raises UserError as `readable`, also naming all pictures that differ in form from the first one."""
    image, found, rows = _read(items, form)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for number, (row, boxes) in enumerate(zip(rows, found, strict=True)):
        real = (boxes[:, 2:] > boxes[:, :2]).all(1)
        parts.append((np.full(real.sum(), number), boxes[real], items[row].label[real], items[row].crowd[real]))
    picture, box, label, crowd = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Pictures(image, picture, box, label, crowd, sum(map(len, found)) - len(box), len(items) - len(rows))


def _read(items: Sequence[Item], form: Form) -> tuple[Rows, list[np.ndarray], np.ndarray]:
    """Pictures, the boxes of each, and their rows."""
    boxes: list[np.ndarray] = []
    with form.decoded.shelf() as shelf:

        def keep(item: Item, formed: tuple[np.ndarray, np.ndarray, tuple[int, int]]) -> None:
            _check(item, formed[2])
            same_shape(item.place, formed[0], shelf.first)
            form.decoded.add(item.place, formed[0])
            shelf.put(formed[0])
            boxes.append(formed[1])

        rows = readable(items, lambda item: _formed(item, form), keep, form.bad)
        return shelf.rows(), boxes, rows


def _check(item: Item, size: tuple[int, int]) -> None:
    if item.drawn_on not in (None, size):
        remedy = "draw them on the upright picture, or correct the size"
        raise UserError(f"{item.place} - wanted boxes on its {_by(size)} pixels - got those of a picture of {_by(item.drawn_on)}: {remedy}")
    boxes = item.boxes.reshape(-1, 4)
    if wrong := [box for box in boxes.tolist() if not np.isfinite(box).all() or box[2] < box[0] or box[3] < box[1]]:
        raise UserError(f"{item.place} - wanted boxes from their left upper to their right lower corner - got {wrong[0]}")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} by {size[1]}"


def _formed(item: Item, form: Form) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """(channel, height, width), the boxes in its pixels, cut at its edges, and the width and height that it had."""
    content = item.content()
    picture = opened(item.place, content) if isinstance(content, bytes) else Image.fromarray(content)
    picture, scale = to_channels(item.place, picture, form.channels), np.ones(2)
    width, height = picture.size
    boxes = item.boxes.reshape(-1, 4)
    boxes = np.minimum(boxes.clip(0), [width, height, width, height]).astype(np.float32)
    if form.size:
        picture, scale = fitted(picture, form.size)
    return pixels(picture), (boxes * np.tile(scale, 2)).astype(np.float32), (width, height)


def fitted(picture: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """A picture in a frame of that height and width, and the shares (2,) by which its width and height have changed."""
    share = min(size[0] / picture.height, size[1] / picture.width)
    new = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    frame = Image.new(picture.mode, (size[1], size[0]))
    frame.paste(picture.resize(new, Image.Resampling.BILINEAR))
    return frame, np.array(new) / np.array(picture.size)
