"""Tables of pictures in several files, as Hugging Face writes them: `train-00000-of-00002.parquet` and so on."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow as pa

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.raw import below, regular
from stillhouse.contracts.splits import spelled, split_of_file
from stillhouse.workloads.pictures._shared.picture_files import MOST, SUFFIXES
from stillhouse.workloads.pictures._shared.table_columns import read_all


def is_sharded(raw: Path) -> bool:
    """Whether a folder holds Parquet tables, itself or in folders within."""
    return raw.is_dir() and bool(_files(raw))


def tables(raw: Path) -> pa.Table:
    """A table, or all tables of a folder one below the other, with the column `split` of their names where they have none.

    Raises UserError as `read_all`, where only some names say a split, and where tables differ in their columns. Memory: that of all.
    """
    if not raw.is_dir():
        return read_all(raw)
    paths = _files(raw)
    if beside := [path for path in below(raw, MOST) if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]:
        warnings.warn(
            f"{raw} - left out {len(beside)} pictures beside the tables, {min(beside)} among them: tables are read alone", stacklevel=2
        )
    named = any(split_of_file(path.stem) for path in paths)
    found = every(lambda path: _read(raw, path, named), paths)
    try:
        return pa.concat_tables(found, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(f"{raw} - wanted tables of the same columns - {' '.join(str(error).split())}") from None


def _files(raw: Path) -> list[Path]:
    return sorted(path for path in below(raw, MOST) if path.suffix == ".parquet" and not path.name.startswith("."))


def _read(raw: Path, path: Path, named: bool) -> pa.Table:
    regular(path, raw)
    table, split = read_all(path), split_of_file(path.stem)
    if "split" in table.column_names or not named:
        return table
    if split is None:
        raise UserError(f"{path} - wanted a split in its name, as its neighbours have ({spelled()}) - there is none")
    return table.append_column("split", pa.array([split] * table.num_rows, pa.large_string()))
