"""Parquet tables from outside, read within bounds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from stillhouse.contracts.errors import UserError, shortened

ROWS, BYTES = 100_000_000, 4 * 2**30
_BATCH = 8192
"""Rows decoded before the size is looked at again."""


def read_parquet(path: Path) -> pa.Table:
    """The table that a file holds, of at most ROWS rows and BYTES bytes in memory, however few they are in the file.

    Text is text and a number a number, also where the column was written as categories (a dictionary) or as views.

    Raises UserError naming the file when it holds none, a larger one, or one in which two columns have the same name.
    """
    if not path.is_file():
        raise UserError(f"{path} - wanted a table in Parquet - it is no regular file")
    try:
        with parquet.ParquetFile(path) as file:
            return _bounded(path, file)
    except (pa.ArrowException, OSError, OverflowError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise UserError(f"{path} - wanted a table in Parquet - {shortened(' '.join(str(error).split()), 200)}") from None


def _bounded(path: Path, file: parquet.ParquetFile) -> pa.Table:
    _refuse(path, file.metadata.num_rows, 0)
    names = file.schema_arrow.names
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{path} - wanted columns with a name of their own - there are several {twice}")
    batches, size = [], 0
    for batch in file.iter_batches(_BATCH):
        batch.validate(full=True)  # text that is no UTF-8 would break whoever looks at it
        batches.append(_plain(batch))
        size += batches[-1].nbytes
        _refuse(path, file.metadata.num_rows, size)
    return pa.Table.from_batches(batches or [_plain(pa.RecordBatch.from_pylist([], file.schema_arrow))])


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Memory: 2 GiB for each column that is written out, as its offsets have 32 bits; at more it raises pa.ArrowException."""
    columns = [column.cast(_plain_type(column.type)) for column in batch.columns]
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(kind, kind)


def _refuse(path: Path, rows: int, size: int) -> None:
    if rows > ROWS or size > BYTES:
        raise UserError(f"{path} - wanted a table of at most {ROWS} rows and {BYTES} bytes - got {rows} rows, and {size} bytes of them")
