"""Coded pictures (PNG, JPEG) as arrays of bytes, and what makes their pixels a unit."""

from __future__ import annotations

import io
import struct
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from stillhouse.contracts.errors import UserError

_CHANNELS_OF_MODE = {"1": 1, "L": 1, "LA": 1, "I;16": 1, "P": 3, "RGB": 3, "RGBA": 3, "CMYK": 3, "YCbCr": 3}
"""Pillow's modes that are read, and the channels that are kept of them; alpha is left out."""
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, OverflowError, TypeError, struct.error)
"""What Pillow raises at damaged files."""


def opened(place: str, content: bytes) -> Image.Image:
    """The decoded picture, upright as its EXIF orientation says. Raises UserError, beginning with `place`, at what is none.

    Only PNG and JPEG are decoded: others could start another program (EPS does).
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
            return ImageOps.exif_transpose(picture)
    except (UnidentifiedImageError, Image.DecompressionBombError, *_BROKEN) as error:
        raise UserError(f"{place} - wanted a picture (PNG or JPEG) - {str(error) or type(error).__name__}") from None


def to_channels(place: str, picture: Image.Image, channels: Literal[1, 3] | None = None) -> Image.Image:
    """In grey, or in red, green and blue; None leaves it to the picture. Grey of 16 bits is scaled to 8.

    Raises UserError, beginning with `place`, at other modes.
    """
    if picture.mode not in _CHANNELS_OF_MODE:
        raise UserError(f"{place} - wanted a picture of one of the modes {sorted(_CHANNELS_OF_MODE)} - got {picture.mode}")
    if picture.mode == "I;16":
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    return picture.convert("L" if (channels or _CHANNELS_OF_MODE[picture.mode]) == 1 else "RGB")


def pixels(picture: Image.Image) -> np.ndarray:
    """(channel, height, width), uint8, of a picture from `to_channels`."""
    array = np.asarray(picture, dtype=np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def unit(image: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and deviation in [0, 1] of each channel of (pictures, channel, height, width), uint8; at least one step of deviation."""
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in image.swapaxes(0, 1)])
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    variance = (counts * np.square(values - mean[:, None])).sum(1) / counts.sum(1)
    return mean.tolist(), np.maximum(np.sqrt(variance), 1 / 255).tolist()


def normalised(image: Tensor, unit: Tensor) -> Tensor:
    """(pictures, channel, height, width), uint8, less a mean and divided by a deviation: `unit` (2, channel), of pixels in [0, 1]."""
    mean, deviation = unit[:, None, :, None, None]
    return (image.to(unit) / 255 - mean) / deviation


def same_shape(place: str, image: np.ndarray, first: np.ndarray) -> None:
    """Raises UserError, beginning with `place`, where a picture (channel, height, width) has another shape than the first one."""
    if image.shape != first.shape:
        wanted = f"wanted {_words(first)} as of the first picture (set `size` and `channels` to bring all to one form)"
        raise UserError(f"{place} - {wanted} - got {_words(image)}")


def _words(picture: np.ndarray) -> str:
    channels, height, width = picture.shape
    return f"{channels} channel{'s' * (channels > 1)} of {height} by {width} pixels"
