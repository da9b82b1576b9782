"""Coded pictures and their masks as arrays of bytes, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures._shared.decoded import Decoded
from stillhouse.workloads.pictures._shared.picture import opened, pixels, same_shape, to_channels
from stillhouse.workloads.pictures._shared.raw_files import Content, loaded
from stillhouse.workloads.pictures._shared.readable import Bad, readable
from stillhouse.workloads.pictures._shared.shelf import Rows

Coded = tuple[str, Content]
"""A place in words, for errors, and what is found there."""
Arrays = tuple[np.ndarray, np.ndarray]
"""A picture (channel, height, width) and its mask (height, width), uint8."""
_NUMBERED = ("1", "L", "P")
"""Pillow's modes of one number of eight bits a pixel."""


@dataclass(frozen=True)
class Form:
    """What pictures are brought to; None keeps a picture as it is."""

    channels: Literal[1, 3] | None = None
    """Grey, or red, green and blue."""
    size: tuple[int, int] | None = None
    """Height and width: the middle is cut out at the right proportions, then resized, a mask to the nearest pixel."""
    bad: Bad = "refuse"
    decoded: Decoded = field(default_factory=Decoded)
    """What counts the bytes of all of them."""


def decode(image: Coded, mask: Coded, form: Form) -> Arrays:
    """(channel, height, width) and (height, width), uint8. Raises UserError, beginning with the place, at what is no such pair."""
    picture, coded = to_channels(image[0], opened(image[0], loaded(image[1])), form.channels), loaded(mask[1])
    numbers = opened(mask[0], coded)
    if coded.startswith(b"\xff\xd8\xff"):
        raise UserError(f"{mask[0]} - wanted a mask as PNG, which keeps the numbers of classes - got a JPEG, which changes them")
    if numbers.mode not in _NUMBERED:
        wanted = "wanted a mask of one number of eight bits a pixel (in grey or with a palette)"
        raise UserError(f"{mask[0]} - {wanted} - got the mode {numbers.mode}")
    if numbers.size != picture.size:
        raise UserError(f"{mask[0]} - wanted a mask of {_sides(picture)} pixels as its picture - got {_sides(numbers)}")
    if form.size:
        picture = ImageOps.fit(picture, form.size[::-1], Image.Resampling.BILINEAR)
        numbers = ImageOps.fit(numbers, form.size[::-1], Image.Resampling.NEAREST)
    return pixels(picture), np.asarray(numbers, dtype=np.uint8) // _unit(coded, numbers)


def _unit(coded: bytes, numbers: Image.Image) -> int:
    """What a step of one is in a grey mask: Pillow stretches two and four bits of a pixel over the range of eight."""
    header = coded.find(b"IHDR", 0, 64)
    return {2: 85, 4: 17}.get(coded[header + 12], 1) if numbers.mode == "L" and header > 0 else 1


def stack(pairs: Iterable[tuple[Coded, Coded]], form: Form) -> tuple[Rows, Rows, np.ndarray]:
    """(pictures, channel, height, width) and (pictures, height, width) of pairs, and their rows. Raises UserError as `readable`."""
    with form.decoded.shelf() as images, form.decoded.shelf() as masks:

        def keep(pair: tuple[Coded, Coded], decoded: Arrays) -> None:
            same_shape(pair[0][0], decoded[0], images.first)
            form.decoded.add(pair[0][0], *decoded)
            images.put(decoded[0])
            masks.put(decoded[1])

        rows = readable(pairs, lambda pair: decode(*pair, form), keep, form.bad)
        return images.rows(), masks.rows(), rows


def _sides(picture: Image.Image) -> str:
    return f"{picture.height} by {picture.width}"
