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
        batches.append(batch)
        size += batch.nbytes
        _refuse(path, file.metadata.num_rows, size)
    schema = batches[0].schema if batches else file.schema_arrow
    return pa.Table.from_batches(batches, schema)


def _refuse(path: Path, rows: int, size: int) -> None:
    if rows > ROWS or size > BYTES:
        raise UserError(f"{path} - wanted a table of at most {ROWS} rows and {BYTES} bytes - got {rows} rows, and {size} bytes of them")
