"""Coded pictures (PNG, JPEG) as arrays of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from stillhouse.contracts.faults import every
from stillhouse.workloads.pictures._shared.picture import opened, pixels, same_shape, to_channels


@dataclass(frozen=True)
class Form:
    """What pictures are brought to; None keeps a picture as it is."""

    channels: Literal[1, 3] | None = None
    """Grey, or red, green and blue."""
    size: int | None = None
    """Height and width: the middle is cut out at the right proportions, then resized."""


def decode(place: str, content: bytes, form: Form) -> np.ndarray:
    """(channel, height, width), uint8. Raises UserError, beginning with `place`, at what is no picture that is read."""
    return pixels(fitted(to_channels(place, opened(place, content), form.channels), form.size))


def fitted(picture: Image.Image, size: int | None) -> Image.Image:
    """In that height and width, if there is one."""
    return ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR) if size else picture


def stack(pictures: Iterable[tuple[str, bytes]], form: Form) -> np.ndarray:
    """(pictures, channel, height, width) of (place, content) pairs. Raises UserError that names all that are none or of another shape."""
    arrays: list[np.ndarray] = []

    def add(picture: tuple[str, bytes]) -> None:
        array = decode(*picture, form)
        same_shape(picture[0], array, (arrays or [array])[0])
        arrays.append(array)

    every(add, pictures)
    return np.stack(arrays)
