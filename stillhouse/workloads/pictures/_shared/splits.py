"""Which raw examples are to be trained on, validated on and tested on: as folders or tables say, or held out at random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_NAMES: dict[str, Split] = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
SUFFIXES = (".jpeg", ".jpg", ".png")
"""The suffixes of files that are pictures, in small letters."""
_OTHERS = (".bmp", ".gif", ".tif", ".tiff", ".webp")
"""Those of pictures in formats that are not read."""


def split_folders(raw: Path) -> dict[Split, Path]:
    """Folders train, val (or valid) and test of a folder, or itself as train. Raises UserError if there is test but no train."""
    folders = {path.name: path for path in folders_in(raw)}
    places: dict[Split, Path] = {split: folders[name] for name, split in _NAMES.items() if name in folders} or {"train": raw}
    if {"val", "valid"} <= folders.keys():
        raise UserError(f"{raw} - wanted one folder of pictures to validate on - got val and valid")
    if "train" not in places:
        raise UserError(f"{raw} - wanted a folder train beside {sorted(places.values())[0].name} - there is none")
    return places


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without those that operating systems and editors leave."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not _is_aside(path.name)]


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder and in those within it. Raises UserError naming all pictures of formats that are not read."""
    found = [path for path in sorted(folder.rglob("*")) if not any(map(_is_aside, path.relative_to(folder).parts))]
    every(_check_format, found)
    return [path for path in found if path.suffix.lower() in SUFFIXES]


def _is_aside(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _check_format(path: Path) -> None:
    if path.suffix.lower() in _OTHERS:
        raise UserError(f"{path} - wanted pictures as {', '.join(SUFFIXES)} - got {path.suffix}: convert it or take it away")


def read_table(raw: Path, contents: tuple[str, ...], numbers: tuple[str, ...] = ()) -> pa.Table:
    """A Parquet table with columns of bytes (`contents`) and of whole numbers. Raises UserError if it has not all of them, filled."""
    try:
        table = parquet.read_table(raw)
    except pa.ArrowInvalid as error:
        raise UserError(f"{raw} - wanted a Parquet table - {error}") from None
    columns = (*contents, *numbers)
    if missing := [name for name in columns if name not in table.column_names]:
        raise UserError(f"{raw} - wanted columns {', '.join(columns)} and split - there is no {missing}, but {table.column_names}")
    for name in columns:
        kind = table.schema.field(name).type
        if name in contents and not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise UserError(f"{raw} - wanted a column {name} of bytes - got {kind}")
        if name in numbers and not pa.types.is_integer(kind):
            raise UserError(f"{raw} - wanted a column {name} of whole numbers - got {kind}")
        if nulls := table.column(name).null_count:
            raise UserError(f"{raw} - wanted a value in each row of column {name} - {nulls} are missing")
    return table


def split_rows(raw: Path, table: pa.Table) -> dict[Split, np.ndarray]:
    """The rows of each split that a column of this name holds; all are train where there is no such column."""
    names = table.column("split").to_pylist() if "split" in table.column_names else ["train"] * table.num_rows
    if wrong := sorted({str(name) for name in names} - set(_NAMES)):
        raise UserError(f"{raw} - wanted splits of {sorted(_NAMES)} - got {wrong}")
    split = np.array([_NAMES[name] for name in names])
    found = {name: rows for name in SPLITS if len(rows := np.flatnonzero(split == name))}
    if "train" not in found:
        raise UserError(f"{raw} - wanted rows of the split train - got {sorted(found)}")
    return found


def cells(raw: Path, table: pa.Table, name: str, rows: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """The place, in words, and the value of some rows of a column."""
    column = table.column(name)
    for row in rows:
        yield f"{raw}, row {row}", column[int(row)].as_py()


def held_out(count: int, share: float, rng: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `count` that stay, and a share of them drawn at random; at least one of each. Raises UserError below two rows."""
    if count < 2:
        raise UserError(f"wanted two training pictures at least, to hold some out - got {count}")
    order = torch.randperm(count, generator=rng).numpy()
    first = min(max(1, round(share * count)), count - 1)
    return np.sort(order[first:]), np.sort(order[:first])
