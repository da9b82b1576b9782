"""The rows of a Parquet table, of the columns that are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute

from stillhouse.contracts.class_names import class_names
from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.parquets import read_parquet
from stillhouse.contracts.raw import regular
from stillhouse.workloads.text._shared.lines import Row
from stillhouse.workloads.text._shared.rows import Columns

_ROWS = 4096
"""Made Python's own at a time."""


def table_rows(path: Path, raw: Path, columns: Columns) -> Iterator[Row]:
    """The place and the values of each row. Raises UserError, naming the file, at a column of another kind, and as `read_parquet`."""
    if raw.is_dir():
        regular(path, raw)
    table = read_parquet(path)
    wanted = dict.fromkeys((*columns.needed, columns.label, columns.split))
    chosen = {name: _simple(path, name, table.column(name)) for name in wanted if name in table.column_names}
    if columns.label in chosen and (names := class_names(table.schema, columns.label)):
        chosen[columns.label] = _named(path, columns.label, chosen[columns.label], names)
    if missing := next((name for name in columns.needed if name not in chosen), None):
        raise UserError(f"{path} - wanted the column {missing!r} - there are {shortened(str(table.column_names), 300)}")
    rows = pa.table(chosen)
    for first in range(0, rows.num_rows, _ROWS):
        for place, row in enumerate(rows.slice(first, _ROWS).to_pylist(), start=first):
            yield f"{path}, row {place}", row


def _named(path: Path, name: str, column: pa.ChunkedArray, names: tuple[str, ...]) -> pa.ChunkedArray:
    """The names of numbers; none of -1, which Hugging Face writes where nothing is known."""
    if not pa.types.is_integer(column.type):
        return column
    if (highest := pa.compute.max(column).as_py() or 0) >= len(names):
        raise UserError(f"{path} - wanted numbers below {len(names)}, how many names its metadata has, in {name!r} - got {highest}")
    known = pa.compute.if_else(pa.compute.less(column, 0), None, column)
    return pa.chunked_array([pa.array(names, pa.large_string()).take(chunk) for chunk in known.chunks], pa.large_string())


def _simple(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text or whole numbers; all null says nothing of any kind."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return column.cast(pa.large_string())
    if not pa.types.is_integer(kind):
        raise UserError(f"{path} - wanted a column {name!r} of text or whole numbers - got {shortened(str(kind), 200)}")
    return column
