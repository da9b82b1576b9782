"""The bytes of all decoded pictures have a bound, told in one sentence and kept by every workload of pictures."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from tests.fuzz.pictures import READERS
from tests.fuzz.reader import write


@pytest.mark.parametrize(
    ("name", "size", "most"), [("classify", 8, 8 * 8 * 9), ("segment", [8, 8], 8 * 8 * 7), ("detect", [8, 8], 8 * 8 * 9)]
)
def test_pictures_beyond_the_bound_are_refused_in_one_sentence(name: str, size: object, most: int, tmp_path: Path) -> None:
    reader, workload = READERS[f"{name}-parquet"], registry.workload(name)
    write(reader.files, tmp_path)
    settings = workload.prepare_settings.model_validate({"size": size, "channels": 1, "most_bytes": most})
    with pytest.raises(UserError, match=r"row \d+ - wanted \d+ bytes at most of all decoded pictures \(set a smaller") as told:
        workload.prepare(settings, tmp_path / reader.name, tmp_path, torch.Generator().manual_seed(0))
    assert "\n" not in str(told.value)


COUNT, SIDE = 24, 512
"""Pictures of 19 MB when they are decoded, and of next to nothing as files."""


def coded(number: int, channels: int) -> bytes:
    """A PNG with two plain halves."""
    pixels = np.full((SIDE, SIDE, channels), number, np.uint8)
    pixels[: SIDE // 2] = 1
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, "PNG")
    return stream.getvalue()


def raw(name: str) -> pa.Table:
    """Coloured pictures, with what a workload wants beside them."""
    columns: dict[str, list[object]] = {"image": [coded(number, 3) for number in range(COUNT)]}
    if name == "segment":
        columns["mask"] = [coded(0, 1) for _ in range(COUNT)]
    elif name == "classify":
        columns["label"] = [number % 2 for number in range(COUNT)]
    else:
        columns["boxes"] = [[{"xmin": 1.0, "ymin": 1.0, "xmax": 9.0, "ymax": 9.0, "label": 0}] for _ in range(COUNT)]
    return pa.table(columns)


@pytest.mark.parametrize("name", ["classify", "segment", "detect"])
def test_pictures_are_prepared_in_less_memory_than_they_have(name: str, tmp_path: Path) -> None:
    """Half of their bytes is enough; once it was three times as many."""
    workload, prepared = registry.workload(name), tmp_path / "prepared"
    prepared.mkdir()
    parquet.write_table(raw(name), tmp_path / "raw.parquet")
    settings = workload.prepare_settings.model_validate({})
    tracemalloc.start()
    workload.prepare(settings, tmp_path / "raw.parquet", prepared, torch.Generator().manual_seed(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < COUNT * SIDE * SIDE * 3 / 2
    held = {path.name for path in prepared.iterdir() if not path.name.endswith("-boxes.parquet")}
    assert held == {"train.parquet", "valid.parquet", "test.parquet", "facts.json"}, "nothing is left of the file between"
