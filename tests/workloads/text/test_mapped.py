"""Text that is more than `data.most_bytes` is read from a file: the same numbers and batches, and next to nothing of it in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import torch

from stillhouse.training.files import write_parquet
from stillhouse.workloads.text.language import WORKLOAD
from stillhouse.workloads.text.language.mapped import columns
from tests.workloads.text.raws import prepared, split_folder

NAMES = ("token", "bytes", "words")


@pytest.mark.parametrize("rows", [0, 1, 200_000])
def test_the_numbers_are_the_same_wherever_they_lie(tmp_path: Path, rows: int) -> None:
    given = torch.randint(2**31 - 1, (3, rows), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    folder = tmp_path / "prepared"
    folder.mkdir()
    write_parquet(folder / "train.parquet", dict(zip(NAMES, given, strict=True)))
    size, found = given.nbytes, {}
    for most in (max(size, 1), max(size - 1, 0)):
        tracemalloc.start()
        found[most] = columns(folder / "train.parquet", NAMES, most)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows < 2 or (peak > size) == (most == size)
        assert rows < 2 or most == size or peak < size / 2
    assert all(torch.equal(each, given) for each in found.values())
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"], "the file has no name"


def test_batches_are_the_same_and_the_setting_makes_no_other_result(tmp_path: Path) -> None:
    prepared(split_folder(tmp_path / "raw"), tmp_path / "p")
    inside, outside = (WORKLOAD.data_settings(context=8, batch_size=3, **more) for more in ({}, {"most_bytes": 1}))
    assert inside.model_dump() == outside.model_dump()
    one, other = (WORKLOAD.load(settings, tmp_path / "p", test=True) for settings in (inside, outside))
    for name in ("train", "valid", "test"):
        pairs = zip(*(getattr(data, name).draw(torch.Generator().manual_seed(1)) for data in (one, other)), strict=True)
        for first, second in pairs:
            assert first.token.dtype == first.target.dtype == torch.int64
            assert all(torch.equal(getattr(first, part), getattr(second, part)) for part in ("token", "target", "covered"))
