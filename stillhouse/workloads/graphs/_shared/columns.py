"""Columns of tables of nodes and of edges, read within bounds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all
from stillhouse.contracts.names import require_distinct
from stillhouse.contracts.parquets import read_parquet
from stillhouse.contracts.splits import split_of
from stillhouse.workloads.graphs._shared.nodes import CELLS, NONE, SPLITS, Array, ends


def _place(value: str | None) -> int | None:
    """Of a split in SPLITS, or NONE; None of what is neither."""
    found = split_of(value)
    return SPLITS.index(found) if found else NONE if value in ("none", None) else None


def require(found: pa.Table, names: tuple[str, ...], path: Path) -> None:
    """Raises UserError that names the first column that is missing."""
    if missing := [name for name in names if name not in found.column_names]:
        raise UserError(f"{path} - wanted the column {missing[0]!r} - got {found.column_names}")


def in_order(found: pa.Table, path: Path) -> None:
    """Raises UserError at a column `id` that does not number the rows from 0: edges would be taken to name other nodes than they mean."""
    ids = found.column("id").to_pylist() if "id" in found.column_names else []
    wrong = [row for row, value in enumerate(ids) if value != row]
    if wrong:
        wanted = "wanted the number of its row as `id`, by which `source` and `target` name nodes"
        raise UserError(f"{path}, row {wrong[0]} - {wanted} - got {ids[wrong[0]]!r}: sort and number the rows, or drop the column")


def features(found: pa.Table, path: Path) -> Array:
    """(rows, features), of a column of lists or of columns f0, f1, ... Raises UserError, naming column and row, at what is wrong."""
    if "features" in found.column_names:
        return lists(found.column("features"), f"{path}", "features")
    names = [f"f{number}" for number in range(len(found.column_names)) if f"f{number}" in found.column_names]
    require(found, ("f0",), path)
    if names[-1] != f"f{len(names) - 1}":
        raise UserError(f"{path} - wanted columns f0, f1, ... without a gap - got {names}")
    return np.stack([numbers(found.column(name), f"{path}, column {name!r}") for name in names], 1)


def numbers(column: pa.ChunkedArray, place: str) -> Array:
    """(rows,) numbers. Raises UserError if there are others, or rows without one."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)) or column.null_count:
        raise UserError(f"{place} - wanted a number in each row - got {kind}{' and rows without one' * bool(column.null_count)}")
    return column.to_numpy()


def both_ends(path: Path, nodes: int) -> tuple[Array, Array]:
    """The columns `source` and `target` of a table of edges, numbers of nodes from 0. Raises UserError at what is wrong."""
    found = read_parquet(path)
    require(found, ("source", "target"), path)
    source, target = (numbers(found.column(name), f"{path}, column {name!r}") for name in ("source", "target"))
    return ends(source, target, nodes, f"{path}")


def classes(column: pa.ChunkedArray, place: str) -> tuple[Array, tuple[str | int, ...]]:
    """The place of each row's class among the sorted names, NONE for null; and the names. Raises UserError if they are neither."""
    if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise UserError(f"{place} - wanted classes as whole numbers or as names - got {column.type}")
    values = column.to_pylist()
    names = tuple(sorted({value for value in values if value is not None}))
    require_distinct(names, place)
    if NONE in names and {0, 1} <= set(names):
        warnings.warn(f"{place}: {NONE} is taken for a class; where it means that there is none, leave the cell empty", stacklevel=2)
    places = {name: number for number, name in enumerate(names)} | {None: NONE}
    return np.array([places[value] for value in values], dtype=np.int64), names


def split(found: pa.Table, which: int, path: Path) -> Array | None:
    """The places in SPLITS of rows, or NONE, by the column of that number; None where no column says. Raises UserError at what is wrong."""
    known = [name for name in found.column_names if name == "split" or name.startswith("split_")]
    if not known:
        _refuse_masks(found, path)
        return None
    name = "split" if which == 0 and "split" in known else f"split_{which}"
    require(found, (name,), path)
    values = found.column(name).to_pylist()
    if (kind := found.schema.field(name).type) not in (pa.string(), pa.large_string(), pa.null()):
        raise UserError(f"{path}, column {name!r} - wanted names of splits - got {kind}")
    places = {value: _place(value) for value in set(values)}
    wrong = [row for row, value in enumerate(values) if places[value] is None]
    refuse_all(
        len(wrong), lambda at: f"{path}, row {wrong[at]} - wanted train, valid, test or none in {name!r} - got {values[wrong[at]]!r}"
    )
    return np.array([places[value] for value in values], dtype=np.int64)


def _refuse_masks(found: pa.Table, path: Path) -> None:
    """Splits in another form would be passed over, and others drawn."""
    if masks := [name for name in found.column_names if name.endswith("_mask") and split_of(name.removesuffix("_mask"))]:
        remedy = "write train, valid, test or none in each row, or drop them"
        raise UserError(f"{path} - wanted splits as a column `split` of names - got {', '.join(masks)}: {remedy}")


def lists(column: pa.ChunkedArray, path: str, name: str) -> Array:
    """(rows, length) numbers of a column of lists of one length. Raises UserError that names the first rows of another."""
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type) and not pa.types.is_fixed_size_list(column.type):
        raise UserError(f"{path}, column {name!r} - wanted lists of numbers - got {column.type}")
    lengths = np.array([len(row) if row.is_valid else NONE for row in column], dtype=np.int64)
    first = int(lengths[0]) if len(lengths) else 0
    wrong = np.flatnonzero((lengths != first) | (lengths < 1))
    wanted = f"wanted {max(first, 1)} {name}, as in the first row"
    refuse_all(len(wrong), lambda at: f"{path}, row {wrong[at]} - {wanted} - got {max(lengths[wrong[at]], 0)}")
    if len(lengths) * first > CELLS:
        raise UserError(f"{path} - wanted at most {CELLS} numbers in all - got {len(lengths) * first}")
    values = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
    return numbers(values, f"{path}, column {name!r}").reshape(len(lengths), first)
