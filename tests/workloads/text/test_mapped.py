"""Text that is more than `data.most_bytes` is read from a file: the same numbers and batches, and next to nothing of it in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.training.files import write_parquet
from stillhouse.workloads.text import language, text_classes
from stillhouse.workloads.text._shared.mapped import columns
from tests.workloads.text.raws import prepared, questions, split_folder

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


@pytest.mark.parametrize("part", [language, text_classes])
def test_batches_are_the_same_and_the_setting_makes_no_other_result(tmp_path: Path, part: Any) -> None:
    if part is language:
        prepared(split_folder(tmp_path / "raw"), tmp_path / "prepared")
        settings, parts = {"context": 8, "batch_size": 3}, ("token", "target", "covered")
    else:
        questions(tmp_path)
        settings, parts = {"batch_size": 3, "train_limit": 0.5, "unlabelled": 2}, ("token", "mask", "label")
    inside, outside = (part.WORKLOAD.data_settings(**settings, **more) for more in ({}, {"most_bytes": 1}))
    assert inside.model_dump() == outside.model_dump()
    one, other = (part.WORKLOAD.load(settings, tmp_path / "prepared", test=True) for settings in (inside, outside))
    for name in ("train", "valid", "test"):
        pairs = zip(*(getattr(data, name).draw(torch.Generator().manual_seed(1)) for data in (one, other)), strict=True)
        for first, second in pairs:
            assert all(getattr(first, part).dtype == torch.int64 for part in parts[:2])
            assert all(torch.equal(getattr(first, part), getattr(second, part)) for part in parts)


def test_texts_of_more_than_is_allowed_hold_no_token_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    texts, length = 400, 500
    counts = torch.full((texts,), length, dtype=torch.int32)
    write_parquet(folder / "train.parquet", {"tokens": counts, "label": counts * 0})
    write_parquet(folder / "train_tokens.parquet", {"token": torch.arange(texts * length, dtype=torch.int32)})
    peaks = {}
    for most in (2**32, 1):
        tracemalloc.start()
        split = text_classes.sample.texts(folder, "train", 0, most)
        batch = split.batch(torch.tensor([texts - 1, 0]))
        peaks[most] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert batch.token[:, 0].tolist() == [(texts - 1) * length, 0]
    assert peaks[1] < 4 * texts * length / 2 < 4 * texts * length < peaks[2**32]
