"""Which raw examples are to be trained on, validated on and tested on: as folders or tables say, or held out at random."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import shortened
from stillhouse.contracts.splits import SPLITS, Split, spelled, split_of
from stillhouse.workloads.pictures._shared.picture_files import folders_in
from stillhouse.workloads.pictures._shared.shards import tables
from stillhouse.workloads.pictures._shared.table_columns import as_bytes, as_names


def split_folders(raw: Path) -> dict[Split, Path]:
    """The folders of splits in a folder (train, val, test, however they are spelled), or itself as train.

    Raises UserError where two are of one split, where there is none of train, and at a folder beside them that is of none.
    """
    places: dict[Split, Path] = {}
    others = []
    for path in folders_in(raw):
        if (split := split_of(path.name)) is None:
            others.append(path.name)
        elif split in places:
            raise UserError(f"{raw} - wanted one folder of the split {split} - got {places[split].name} and {path.name}")
        else:
            places[split] = path
    if places and "train" not in places:
        raise UserError(f"{raw} - wanted a folder train beside {sorted(places.values())[0].name} - there is none")
    if places and others:
        got = shortened(", ".join(others), 200)
        raise UserError(f"{raw} - wanted no other folders beside {places['train'].name} than {spelled()} - got {got}: rename or move them")
    return {split: places[split] for split in SPLITS if split in places} or {"train": raw}


def read_table(raw: Path, contents: tuple[str, ...], numbers: tuple[str, ...] = ()) -> pa.Table:
    """A Parquet table, or a folder of such, with columns of bytes (`contents`), of whole numbers or names (`numbers`).

    Raises UserError if it has not all of bytes and numbers, filled. Memory: as of `tables`.
    """
    columns = (*contents, *numbers)
    table = tables(raw)
    if twice := [name for name in table.column_names if table.column_names.count(name) > 1]:
        raise UserError(f"{raw} - wanted columns with a name of their own - there are several {shortened(twice[0], 200)!r}")
    if missing := [name for name in columns if name not in table.column_names]:
        raise UserError(f"{raw} - wanted columns {', '.join(columns)} and split - there is no {missing}, but {table.column_names}")
    for place, name in enumerate(table.column_names):
        if name in contents:
            table = table.set_column(place, name, as_bytes(raw, name, table.column(name)))
        if name in numbers:
            table = table.set_column(place, name, _labels(raw, name, as_names(table.column(name))))
        if name in columns and (nulls := table.column(name).null_count):
            raise UserError(f"{raw} - wanted a value in each row of column {name} - {nulls} are missing")
    return table


def _labels(raw: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not (pa.types.is_integer(column.type) or pa.types.is_large_string(column.type)):
        raise UserError(f"{raw} - wanted a column {name} of whole numbers or of names - got {shortened(str(column.type), 200)}")
    return column


def split_rows(raw: Path, table: pa.Table) -> dict[Split, np.ndarray]:
    """The rows of each split that a column of this name holds; all are train where there is no such column."""
    names = as_names(table.column("split")).to_pylist() if "split" in table.column_names else ["train"] * table.num_rows
    if wrong := sorted({str(name) for name in names if split_of(name) is None}):
        raise UserError(f"{raw} - wanted splits of {spelled()} - got {shortened(str(wrong), 200)}")
    split = np.array([split_of(name) for name in names])
    found = {name: rows for name in SPLITS if len(rows := np.flatnonzero(split == name))}
    if "train" not in found:
        raise UserError(f"{raw} - wanted rows of the split train - got {sorted(found)}")
    return found


def cells(raw: Path, table: pa.Table, name: str, rows: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The place, in words, and the value of some rows of a column."""
    column = table.column(name)
    for row in rows:
        yield f"{raw}, row {row}", column[int(row)].as_py()


def completed(
    raw: Path, present: Collection[Split], count: int, test_share: float, valid_share: float, rng: torch.Generator
) -> dict[Split, np.ndarray]:
    """Which of the `count` rows of train each split gets that is not `present`, test before valid; train keeps the rest.

    Raises UserError, naming the raw data, if there are too few.
    """
    rows: dict[Split, np.ndarray] = {"train": np.arange(count)}
    shares: tuple[tuple[Split, float], ...] = (("test", test_share), ("valid", valid_share))
    for split, share in shares:
        if split not in present:
            left, drawn = held_out(raw, len(rows["train"]), share, rng)
            rows[split], rows["train"] = rows["train"][drawn], rows["train"][left]
    return rows


def held_out(raw: Path, count: int, share: float, rng: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `count` that stay, and a share of them drawn at random; at least one of each. Raises UserError below two rows."""
    if count < 2:
        raise UserError(f"{raw} - wanted two training pictures at least, to hold some out - got {count}")
    order = torch.randperm(count, generator=rng).numpy()
    first = min(max(1, round(share * count)), count - 1)
    return np.sort(order[first:]), np.sort(order[:first])
