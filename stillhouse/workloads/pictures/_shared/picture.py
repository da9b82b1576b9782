"""Coded pictures (PNG, JPEG) as arrays of bytes, and what makes their pixels a unit."""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Iterable
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import shortened

_CHANNELS_OF_MODE = {"1": 1, "L": 1, "LA": 1, "I;16": 1, "P": 3, "RGB": 3, "RGBA": 3, "CMYK": 3, "YCbCr": 3}
"""Pillow's modes that are read, and the channels that are kept of them; alpha is left out."""
MOST_PIXELS = 2**26
"""The most pixels of a picture (8192 by 8192): told from its header, before it is decoded."""
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, OverflowError, TypeError, struct.error)
"""What Pillow raises at damaged files."""


def opened(place: str, content: bytes) -> Image.Image:
    """The decoded picture, upright as its EXIF orientation says. Raises UserError, beginning with `place`, at what is none.

    Only PNG and JPEG are decoded, known by their content: others could start another program (EPS does). Memory: four bytes a pixel,
    twice where it is turned, for `MOST_PIXELS` at most, and 64 MiB for what a PNG file says beside its pixels (Pillow's bound).
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
            if math.prod(picture.size) > MOST_PIXELS:
                raise UserError(f"{place} - wanted a picture of {MOST_PIXELS} pixels at most - got {picture.width} by {picture.height}")
            return ImageOps.exif_transpose(picture)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{place} - wanted a picture (PNG or JPEG) - cannot identify it as one") from None
    except Image.DecompressionBombError:
        raise UserError(f"{place} - wanted a picture of {MOST_PIXELS} pixels at most - got more") from None
    except _BROKEN as error:
        raise UserError(f"{place} - wanted a picture (PNG or JPEG) - {shortened(str(error) or type(error).__name__, 200)}") from None


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


def unit(parts: Iterable[np.ndarray]) -> tuple[list[float], list[float]]:
    """Mean and deviation in [0, 1] of each channel of parts (pictures, channel, height, width), uint8; at least one step of deviation."""
    counts = sum(np.stack([np.bincount(channel.ravel(), minlength=256) for channel in part.swapaxes(0, 1)]) for part in parts)
    assert isinstance(counts, np.ndarray)
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    variance = (counts * np.square(values - mean[:, None])).sum(1) / counts.sum(1)
    return mean.tolist(), np.maximum(np.sqrt(variance), 1 / 255).tolist()


def normalised(image: Tensor, unit: Tensor) -> Tensor:
    """(pictures, channel, height, width), uint8, less a mean and divided by a deviation: `unit` (2, channel), of pixels in [0, 1]."""
    mean, deviation = unit[:, None, :, None, None]
    return (image.to(unit) / 255 - mean) / deviation


def same_shape(place: str, image: np.ndarray, first: np.ndarray | None) -> None:
    """Raises UserError, beginning with `place`, where a picture (channel, height, width) has another shape than the first one, if any."""
    if first is not None and image.shape != first.shape:
        wanted = f"wanted {_words(first)} as of the first picture (set `size` and `channels` to bring all to one form)"
        raise UserError(f"{place} - {wanted} - got {_words(image)}")


def _words(picture: np.ndarray) -> str:
    channels, height, width = picture.shape
    return f"{channels} channel{'s' * (channels > 1)} of {height} by {width} pixels"
