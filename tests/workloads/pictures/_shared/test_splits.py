"""Splits of raw examples: what folders and tables say, and what is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.pictures._shared.splits import cells, held_out, read_table, split_folders, split_rows


@given(count=st.integers(2, 50), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_each_row_is_held_out_or_stays(count: int, share: float, seed: int) -> None:
    left, drawn = held_out(Path("raw"), count, share, torch.Generator().manual_seed(seed))
    assert sorted([*left, *drawn]) == list(range(count))
    assert len(drawn) == min(max(1, round(share * count)), count - 1)
    assert (np.diff(left) > 0).all()
    assert np.array_equal(held_out(Path("raw"), count, share, torch.Generator().manual_seed(seed))[0], left)


def test_a_single_row_cannot_be_held_out() -> None:
    with pytest.raises(UserError, match="wanted two training pictures at least, to hold some out - got 1"):
        held_out(Path("raw"), 1, 0.5, torch.Generator())


def test_folders_have_the_names_of_splits_or_are_all_for_training(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert split_folders(tmp_path) == {"train": tmp_path}
    for name in ("Training", "val"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"wanted no other folders beside Training than train, training, .* - got other: rename or move"):
        split_folders(tmp_path)
    (tmp_path / "other").rmdir()
    assert split_folders(tmp_path) == {"train": tmp_path / "Training", "valid": tmp_path / "val"}


def written(path: Path, **columns: pa.Array | list) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_rows_of_a_table_by_split(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw.parquet", image=[b"a", b"b", b"c", b"d"], label=[1, 2, 3, 4], split=["test", "train", "val", "train"])
    table = read_table(raw, ("image",), ("label",))
    rows = split_rows(raw, table)
    assert {name: value.tolist() for name, value in rows.items()} == {"train": [1, 3], "valid": [2], "test": [0]}
    assert list(cells(raw, table, "image", rows["train"])) == [(f"{raw}, row 1", b"b"), (f"{raw}, row 3", b"d")]
    assert {name: value.tolist() for name, value in split_rows(raw, table.drop_columns("split")).items()} == {"train": [0, 1, 2, 3]}


def test_columns_of_other_kinds_are_refused(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw.parquet", image=["a"], label=[0.5])
    with pytest.raises(UserError, match=r"raw\.parquet - wanted a column image of bytes - got string"):
        read_table(raw, ("image",))
    with pytest.raises(UserError, match=r"raw\.parquet - wanted a column label of whole numbers or of names - got double"):
        read_table(raw, (), ("label",))
    with pytest.raises(UserError, match=r"wanted columns image, mask and split - there is no \['mask'\], but \['image', 'label'\]"):
        read_table(raw, ("image", "mask"))
