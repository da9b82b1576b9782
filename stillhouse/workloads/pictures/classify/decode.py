"""Coded pictures (PNG, JPEG) as arrays of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from stillhouse.workloads.pictures._shared.decoded import Decoded
from stillhouse.workloads.pictures._shared.picture import opened, pixels, same_shape, to_channels
from stillhouse.workloads.pictures._shared.raw_files import Content, loaded
from stillhouse.workloads.pictures._shared.readable import Bad, readable
from stillhouse.workloads.pictures._shared.shelf import Rows


@dataclass(frozen=True)
class Form:
    """What pictures are brought to; None keeps a picture as it is."""

    channels: Literal[1, 3] | None = None
    """Grey, or red, green and blue."""
    size: int | None = None
    """Height and width: the middle is cut out at the right proportions, then resized."""
    bad: Bad = "refuse"
    decoded: Decoded = field(default_factory=Decoded)
    """What counts the bytes of all of them."""


def decode(place: str, content: bytes, form: Form) -> np.ndarray:
    """(channel, height, width), uint8. Raises UserError, beginning with `place`, at what is no picture that is read."""
    return pixels(fitted(to_channels(place, opened(place, content), form.channels), form.size))


def fitted(picture: Image.Image, size: int | None) -> Image.Image:
    """In that height and width, if there is one."""
    return ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR) if size else picture


def stack(pictures: Iterable[tuple[str, Content]], form: Form) -> tuple[Rows, np.ndarray]:
    """(pictures, channel, height, width) of (place, content) pairs, and their rows. Raises UserError as `readable`."""

    def one(picture: tuple[str, Content]) -> np.ndarray:
        return decode(picture[0], loaded(picture[1]), form)

    with form.decoded.shelf() as shelf:

        def keep(picture: tuple[str, Content], array: np.ndarray) -> None:
            same_shape(picture[0], array, shelf.first)
            form.decoded.add(picture[0], array)
            shelf.put(array)

        rows = readable(pictures, one, keep, form.bad)
        return shelf.rows(), rows
