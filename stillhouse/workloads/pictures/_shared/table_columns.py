"""Columns of a Parquet table of pictures, whatever kind of bytes or labels they were written as, in one form."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import shortened

LARGEST = 2**34
"""The most bytes of a table in memory (16 GiB), however few they are in its file."""
_ROWS = 64
"""Rows decoded before the size is looked at again."""


def read_all(raw: Path) -> pa.Table:
    """All columns of a file. Memory: `LARGEST`, and one page of the file (2 GiB by its format).

    Raises UserError, naming the file, if it is no Parquet table, or one that expands beyond that.
    """
    if not raw.is_file():
        raise UserError(f"{raw} - wanted a Parquet table - it is no regular file")
    try:
        with parquet.ParquetFile(raw) as file:
            return _bounded(raw, file)
    except (OSError, pa.ArrowException, OverflowError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise UserError(f"{raw} - wanted a Parquet table - {shortened(' '.join(str(error).split()), 300)}") from None


def _bounded(raw: Path, file: parquet.ParquetFile) -> pa.Table:
    batches, size = [], 0
    for batch in file.iter_batches(_ROWS):
        batches.append(batch)
        size += batch.nbytes
        if size > LARGEST:
            raise UserError(f"{raw} - wanted a table of {LARGEST} bytes at most in memory - got more")
    schema = file.schema_arrow
    return pa.Table.from_batches(batches, batches[0].schema if batches else schema).replace_schema_metadata(schema.metadata)


def as_bytes(raw: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of bytes of any kind, or of structs of bytes and path (the form of Hugging Face), as bytes.

    Raises UserError, naming the file, at another one.
    """
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column = pa.chunked_array([chunk.field("bytes") for chunk in column.chunks], kind.field("bytes").type)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type) or pa.types.is_binary_view(column.type)):
        raise UserError(f"{raw} - wanted a column {name} of bytes - got {shortened(str(kind), 200)}")
    return column


def as_names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text of any kind, also as a dictionary, as plain text; others as they are."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return column.cast(pa.large_string()) if texts else column.cast(kind)
