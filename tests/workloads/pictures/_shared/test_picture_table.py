"""What `prepare` has written can be asked like any table: its pictures are those that their PNG files hold."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.workloads.pictures._shared.picture_table import coded, row_picture
from tests.workloads import untrained

WORKLOADS = ("classify", "segment", "detect")


@pytest.mark.parametrize("name", WORKLOADS)
def test_prepared_pictures_are_asked_as_they_are(name: str, tmp_path: Path) -> None:
    table = untrained.teacher(name, tmp_path).workload.table
    context = tmp_path / "context"
    context.mkdir()
    table.keep(tmp_path / "prepared", context)
    prepared = pq.read_table(tmp_path / "prepared/test.parquet", columns=["image"]).slice(0, 5)
    facts = read_json(context / "facts.json")
    shape = (facts["channels"], facts["height"], facts["width"])
    arrays = [np.frombuffer(image, dtype=np.uint8).reshape(shape) for image in prepared.column("image").to_pylist()]
    files = pa.table({"image": [coded(Image.fromarray(array.transpose(1, 2, 0).squeeze())) for array in arrays]})
    [[plain], [decoded]] = [list(table.ask(context, rows).batches) for rows in (prepared, files)]
    assert plain.image.tolist() == np.stack(arrays).tolist()
    same = {key: bool(torch.equal(value, vars(decoded)[key])) for key, value in vars(plain).items() if isinstance(value, torch.Tensor)}
    assert same
    assert all(same.values())


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_told_from_files_by_their_number(channels: int) -> None:
    facts = {"channels": channels, "height": 4, "width": 6}
    array = np.arange(24 * channels, dtype=np.uint8).reshape(channels, 4, 6)
    found = row_picture(0, array.tobytes(), facts)
    assert np.array_equal(np.asarray(found).reshape(4, 6, channels), array.transpose(1, 2, 0))
    with pytest.raises(UserError, match=r"^row 7 - wanted a picture \(PNG or JPEG\)"):
        row_picture(7, array.tobytes()[1:], facts)


def test_a_file_of_just_as_many_bytes_is_a_file() -> None:
    content = coded(Image.fromarray(np.arange(4, dtype=np.uint8)[None]))
    facts = {"channels": 1, "height": 1, "width": len(content)}
    assert row_picture(0, content, facts).size == (4, 1)


def test_a_picture_is_asked_upright() -> None:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("L", (24, 16)).save(stream, "JPEG", exif=exif)
    assert row_picture(0, stream.getvalue(), {"channels": 1, "height": 5, "width": 5}).size == (16, 24)
