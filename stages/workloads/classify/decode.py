"""Coded pictures (PNG, JPEG) as arrays of bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stages.core.errors import UserError

_PLAIN = {"1": 1, "L": 1, "P": 3, "RGB": 3, "RGBA": 3, "CMYK": 3, "YCbCr": 3}
"""Pillow's modes of eight bits a channel, and the channels that are kept of them."""


@dataclass(frozen=True)
class Form:
    """What pictures are brought to; None keeps a picture as it is."""

    channels: Literal[1, 3] | None = None
    """Grey, or red, green and blue."""
    size: int | None = None
    """Height and width: the middle is cut out at the right proportions, then resized."""


def decode(place: str, content: bytes, form: Form) -> np.ndarray:
    """(channel, height, width), uint8. Raises UserError, beginning with `place`, at what is no picture of eight bits."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{place} - wanted a picture (PNG or JPEG) - {str(error) or type(error).__name__}") from None
    if picture.mode not in _PLAIN:
        raise UserError(f"{place} - wanted a picture of eight bits a channel, one of {sorted(_PLAIN)} - got {picture.mode}")
    plain = picture.convert("L" if (form.channels or _PLAIN[picture.mode]) == 1 else "RGB")
    if form.size:
        plain = ImageOps.fit(plain, (form.size, form.size), Image.Resampling.BILINEAR)
    array = np.asarray(plain, dtype=np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


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
