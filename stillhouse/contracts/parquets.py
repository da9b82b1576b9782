"""Parquet tables from outside, read within bounds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from stillhouse.contracts.errors import UserError

ROWS, BYTES = 100_000_000, 4 * 2**30


def read_parquet(path: Path) -> pa.Table:
    """The table that a file holds, of at most ROWS rows and, as its footer says, BYTES bytes when unpacked.

    Raises UserError naming the file when it holds none, or a larger one.
    """
    try:
        with parquet.ParquetFile(path) as file:
            size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            if file.metadata.num_rows > ROWS or size > BYTES:
                raise UserError(f"{path} - wanted a table of at most {ROWS} rows and {BYTES} bytes - got {file.metadata.num_rows}, {size}")
            return file.read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} - wanted a table in Parquet - {str(error)[:200]}") from None
