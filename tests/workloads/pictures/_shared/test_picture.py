"""Coded pictures against the arrays that they were made of."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures._shared.picture import opened, pixels, to_channels, unit

RNG = np.random.default_rng(0)
COLOUR, GREY = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8), RNG.integers(0, 256, (5, 4), dtype=np.uint8)


def coded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_a_picture_is_what_was_coded() -> None:
    assert np.array_equal(pixels(to_channels("x", opened("x", coded(Image.fromarray(COLOUR))))), COLOUR.transpose(2, 0, 1))
    assert np.array_equal(pixels(to_channels("x", opened("x", coded(Image.fromarray(GREY))))), GREY[None])
    assert np.array_equal(pixels(to_channels("x", Image.fromarray(GREY), 3)), np.stack([GREY] * 3))
    assert pixels(to_channels("x", Image.fromarray(COLOUR), 1)).shape == (1, 5, 4)


def test_what_is_no_picture_of_bytes_is_refused() -> None:
    with pytest.raises(UserError, match=r"there - wanted a picture \(PNG or JPEG\) - cannot identify"):
        opened("there", b"text")
    with pytest.raises(UserError, match=r"there - wanted a picture of one of the modes .* - got F"):
        to_channels("there", Image.fromarray(GREY.astype(np.float32)))


def test_the_unit_is_mean_and_deviation_of_each_channel() -> None:
    image = RNG.integers(0, 256, (7, 3, 5, 4), dtype=np.uint8)
    image[:, 2] = 9
    mean, deviation = unit([image])
    assert mean == pytest.approx((image / 255).mean((0, 2, 3)).tolist(), rel=1e-12)
    assert deviation == pytest.approx([*(image[:, :2] / 255).std((0, 2, 3)).tolist(), 1 / 255], rel=1e-12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright(orientation: int) -> None:
    """The stored rows and columns of each orientation, as EXIF defines them."""
    stored = {1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T, 6: GREY.T[::-1], 7: GREY.T[::-1, ::-1]}
    stored[8] = GREY.T[:, ::-1]
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored[orientation])).save(stream, "PNG", exif=exif)
    assert np.array_equal(pixels(to_channels("x", opened("x", stream.getvalue()))), GREY[None])


def test_grey_of_sixteen_bits_is_scaled_and_alpha_left_out() -> None:
    deep = Image.fromarray(GREY.astype(np.uint16) * 257)
    assert np.array_equal(pixels(to_channels("x", opened("x", coded(deep)))), GREY[None])
    clear = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY[::-1])])
    assert np.array_equal(pixels(to_channels("x", opened("x", coded(clear)))), GREY[None])


@pytest.mark.parametrize("kind", ["EPS", "GIF", "TIFF"])
def test_only_png_and_jpeg_are_decoded(kind: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, kind)
    with pytest.raises(UserError, match=r"x - wanted a picture \(PNG or JPEG\)"):
        opened("x", stream.getvalue())
