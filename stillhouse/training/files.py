"""Parquet files: written whole or not at all, and the same bytes for the same values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from torch import Tensor

from stillhouse.contracts.files import replace


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    """Writes columns of equal length (tensors, arrays or lists); a matrix becomes a column of lists of fixed length.

    Raises ValueError when the lengths differ.
    """
    try:
        rows = table(columns)
    except ValueError as error:
        raise ValueError(f"{path} - {error}") from None
    replace(path, lambda temporary: parquet.write_table(rows, temporary, compression="zstd"))


def write_tables(path: Path, tables: Iterable[pa.Table]) -> int:
    """Writes tables of one schema, one at least, one below the other as they come; returns the number of rows."""
    counts: list[int] = []

    def write(temporary: Path) -> None:
        parts = iter(tables)
        first = next(parts)
        with parquet.ParquetWriter(temporary, first.schema, compression="zstd") as writer:
            for part in chain((first,), parts):
                writer.write_table(part)
                counts.append(part.num_rows)

    replace(path, write)
    return sum(counts)


def table(columns: Mapping[str, Any]) -> pa.Table:
    """Columns as in `write_parquet`, in memory. Raises ValueError when the lengths differ."""
    arrays = {name: _arrow(column) for name, column in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"wanted columns of one length - got {lengths}")
    return pa.table(arrays)


def read_parquet(path: Path, names: Sequence[str] | None = None) -> dict[str, Tensor | list[Any]]:
    """Columns by name (None: all), in the order of the file: numbers as tensors (lists of numbers as matrices), all else as lists."""
    with parquet.ParquetFile(path) as file:  # `read_table` imports what reads whole folders, and pandas with it
        table = file.read(names)
    return {name: _tensor_or_list(table.column(name).combine_chunks()) for name in table.column_names}


def _arrow(column: Any) -> pa.Array:
    values = column.numpy(force=True) if isinstance(column, Tensor) else column
    if not isinstance(values, np.ndarray):
        return pa.array(values)
    flat = _numbers(values.ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if values.ndim == 2 else flat


def _numbers(values: np.ndarray[Any, Any]) -> pa.Array:
    """`pa.array` imports pandas to see whether an array is one of its own: a third of a second in each stage."""
    if values.dtype.kind not in "iuf":
        return pa.array(values)  # what is no number lies in another way in Arrow's memory
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _tensor_or_list(array: pa.Array) -> Tensor | list[Any]:
    kind = array.type
    if pa.types.is_fixed_size_list(kind) and _is_number(kind.value_type):
        return _tensor(array.flatten()).reshape(len(array), kind.list_size)
    return _tensor(array) if _is_number(kind) else array.to_pylist()


def _tensor(array: pa.Array) -> Tensor:
    if array.null_count or pa.types.is_boolean(array.type):
        return torch.from_numpy(array.to_numpy(zero_copy_only=False).copy())
    return torch.from_dlpack(array).clone()  # `to_numpy` imports pandas


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
