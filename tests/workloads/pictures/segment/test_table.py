"""A coded picture in a row is seen as in training, and its mask lies on it pixel by pixel."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.training.table import predictions
from stillhouse.workloads.pictures.segment import WORKLOAD
from stillhouse.workloads.pictures.segment.crop import VOID
from stillhouse.workloads.pictures.segment.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.segment.table import ROWS, TABLE, restored
from tests.workloads.pictures.segment.raws import coded, masks, pixels, table

SIZES = [(12, 16), (24, 40), (9, 7), (30, 11)]
"""Heights and widths of the pictures in the test split."""


def kept(tmp_path: Path, channels: int = 3) -> Path:
    """The folder of a context, beside prepared pictures of 12 by 16 pixels, of which the last are of SIZES in the raw data."""
    every = [(12, 16)] * 8 + SIZES
    images = [coded(pixels(1, channels=channels, height=height, width=width)[0]) for height, width in every]
    numbers = [coded(masks(1, height=height, width=width)[0]) for height, width in every]
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * len(SIZES)
    raw = table(tmp_path / "raw.parquet", images, numbers, {"classes": ["sky", "road", "tree"]}, split=splits)
    prepare(PrepareSettings(size=(12, 16)), raw, tmp_path / "prepared", torch.Generator())
    (tmp_path / "context").mkdir()
    TABLE.keep(tmp_path / "prepared", tmp_path / "context")
    return tmp_path


class Bright(nn.Module):
    """Tells dark, middling and bright pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = nn.Parameter(torch.tensor(0.7))

    def forward(self, image: Tensor) -> Output:
        mean = image.mean(1)
        return Output(torch.stack([-mean, self.limit.expand_as(mean), mean], -1), "classes")


def decoded(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.array(picture)


def predicted(folder: Path, model: nn.Module) -> Tensor:
    """(pictures, height, width, classes) of the prepared test split."""
    data = WORKLOAD.load(WORKLOAD.data_settings(), folder / "prepared", test=True)
    assert data.test is not None
    [batch] = data.test.draw(torch.Generator())
    with torch.no_grad():
        return WORKLOAD.apply(model, batch).prediction.double().softmax(-1)


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_are_those_of_the_prepared_pictures_on_the_given_ones(tmp_path: Path, channels: int) -> None:
    folder, model = kept(tmp_path, channels), Bright()
    wanted = predicted(folder, model)
    rows = pa.table({"image": [coded(pixels(1, channels=channels, height=height, width=width)[0]) for height, width in SIZES]})
    got = pa.concat_tables(predictions(TABLE, WORKLOAD, model, folder / "context", rows))
    found = [decoded(content) for content in got.column("mask").to_pylist()]
    assert [mask.shape for mask in found] == SIZES
    chosen = wanted.argmax(-1)
    assert len(chosen.unique()) == 3
    assert np.array_equal(found[0], chosen[0].numpy())
    for mask, small in zip(found, chosen.numpy().astype(np.uint8), strict=True):
        assert np.array_equal(mask, np.asarray(restored(small, mask.shape)))
    assert got.column("probability").to_pylist() == pytest.approx(wanted.amax(-1).mean((1, 2)).tolist(), abs=1e-6)
    for mask, shares in zip(found, got.column("shares").to_pylist(), strict=True):
        seen = mask[mask != VOID]
        assert [entry["class"] for entry in shares] == ["sky", "road", "tree"]
        assert [entry["share"] for entry in shares] == pytest.approx([(seen == number).mean() for number in range(3)])


def test_a_mask_lies_where_its_picture_was_cut_out(tmp_path: Path) -> None:
    """Of 30 by 90 pixels the columns 25 to 65 are seen, those before 45 are dark."""
    picture = np.zeros((3, 30, 90), dtype=np.uint8)
    picture[:, :, 45:] = 255
    [got] = predictions(TABLE, WORKLOAD, Bright(), kept(tmp_path) / "context", pa.table({"image": [coded(picture)]}))
    [row] = got.to_pylist()
    mask = decoded(row["mask"])
    for number, columns in ((VOID, slice(0, 25)), (0, slice(25, 42)), (2, slice(48, 65)), (VOID, slice(65, 90))):
        assert (mask[:, columns] == number).all()
    assert sum(entry["share"] for entry in row["shares"]) == pytest.approx(1)


SIDE = st.integers(1, 20)


@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE))
def test_a_mask_is_brought_to_the_middle_that_was_cut_out(small: tuple[int, int], size: tuple[int, int]) -> None:
    """Against fractions: a pixel takes the number in which its middle lies. A middle on an edge may take either side's."""
    mask = np.arange(small[0] * small[1], dtype=np.uint16).reshape(small) % 200
    got = np.asarray(restored(mask.astype(np.uint8), size))
    scale = max(Fraction(have, given) for have, given in zip(small, size, strict=True))

    def places(axis: int, pixel: int) -> set[int]:
        place = (pixel + Fraction(1, 2) - Fraction(size[axis], 2)) * scale + Fraction(small[axis], 2)
        return {int(place // 1), int(place // 1) - (place.denominator == 1)}

    for row, column in np.ndindex(size):
        allowed = {int(mask[y, x]) if 0 <= y < small[0] and 0 <= x < small[1] else VOID for y in places(0, row) for x in places(1, column)}
        assert int(got[row, column]) in allowed


def test_a_mask_of_the_same_size_is_itself_and_one_of_twice_the_size_has_each_pixel_four_times() -> None:
    mask = masks(1)[0]
    assert np.array_equal(restored(mask, mask.shape), mask)
    assert np.array_equal(restored(mask, (12, 10)), mask.repeat(2, 0).repeat(2, 1))


def test_colours_are_those_of_training_and_a_batch_more_keeps_the_order(tmp_path: Path) -> None:
    folder = kept(tmp_path, 1)
    assert read_json(folder / "context/facts.json")["channels"] == 1
    grey = coded(pixels(1, channels=1, height=12, width=16)[0])
    colour = coded(np.repeat(pixels(1, channels=1, height=24, width=16, seed=1)[0], 3, 0))
    rows = pa.table({"image": [grey] * ROWS + [colour]})
    got = pa.concat_tables(predictions(TABLE, WORKLOAD, Bright(), folder / "context", rows))
    heights = [decoded(content).shape[0] for content in got.column("mask").to_pylist()]
    assert heights == [12] * ROWS + [24]


def test_what_is_no_picture_is_refused_with_its_row(tmp_path: Path) -> None:
    context, fine = kept(tmp_path) / "context", coded(pixels(1)[0])
    with pytest.raises(UserError, match=rf"^row {ROWS} - wanted a picture \(PNG or JPEG\)"):
        list(TABLE.ask(context, pa.table({"image": [fine] * ROWS + [b"no picture"]})).batches)
