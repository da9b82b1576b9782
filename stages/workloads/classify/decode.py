"""Coded pictures (PNG, JPEG) as arrays of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from stages.core.errors import UserError
from stages.core.picture import opened, pixels, plain


@dataclass(frozen=True)
class Form:
    """What pictures are brought to; None keeps a picture as it is."""

    channels: Literal[1, 3] | None = None
    """Grey, or red, green and blue."""
    size: int | None = None
    """Height and width: the middle is cut out at the right proportions, then resized."""


def decode(place: str, content: bytes, form: Form) -> np.ndarray:
    """(channel, height, width), uint8. Raises UserError, beginning with `place`, at what is no picture of eight bits."""
    picture = plain(place, opened(place, content), form.channels)
    if form.size:
        picture = ImageOps.fit(picture, (form.size, form.size), Image.Resampling.BILINEAR)
    return pixels(picture)


def stack(pictures: Iterable[tuple[str, bytes]], form: Form) -> np.ndarray:
    """(pictures, channel, height, width) of (place, content) pairs. Raises UserError at the first of another shape."""
    arrays: list[np.ndarray] = []
    for place, content in pictures:
        arrays.append(decode(place, content, form))
        if arrays[-1].shape != arrays[0].shape:
            wanted = f"wanted {_words(arrays[0])} as of the first picture (set `size` and `channels` to bring all to one form)"
            raise UserError(f"{place} - {wanted} - got {_words(arrays[-1])}")
    return np.stack(arrays)


def _words(picture: np.ndarray) -> str:
    channels, height, width = picture.shape
    return f"{channels} channel{'s' * (channels > 1)} of {height} by {width} pixels"
