"""The bytes of all decoded pictures have a bound, told in one sentence and kept by every workload of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
