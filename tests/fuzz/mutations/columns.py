"""Mutations of Parquet tables: columns of another type, lost, doubled, renamed, with gaps; no rows, many rows, another file inside."""

from __future__ import annotations

import datetime
import decimal
import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

_VALUES: tuple[Any, ...] = (
    *(None, -1, 0, 2**31, 2**62, 10**9, float("nan"), float("inf"), -0.0, 0.5, 1e300, True, "", "x", "é", "1", "y" * 5000, "a\nb"),
    *(b"\xff\xfe", [1, 2], [], {"a": 1}, datetime.date(2001, 1, 1), datetime.timedelta(1), decimal.Decimal("1.5"), "a\tb - c", "\0"),
)
_TYPES = (
    *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(), pa.bool_(), pa.null()),
    *(
        pa.date32(),
        pa.timestamp("ns"),
        pa.decimal128(30, 2),
        pa.dictionary(pa.int32(), pa.string()),
        pa.list_(pa.int64()),
        pa.string_view(),
    ),
)
Table = pa.Table


def columns_mutated(data: bytes, rng: random.Random) -> bytes:
    """One or two mutations of a Parquet table; rarely another file under its name."""
    if rng.random() < 0.03:
        return rng.choice(_others(data))
    table = parquet.read_table(io.BytesIO(data))
    for _ in range(rng.choice((1, 1, 2))):
        try:
            table = rng.choice(_CHANGES)(table, rng)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, NotImplementedError):
            continue  # not every column can be of every type
    try:
        packed, groups = rng.choice(("none", "snappy", "zstd", "gzip")), rng.choice((1, 1, 5))
        return _written(table, compression=packed, row_group_size=max(1, table.num_rows // groups))
    except (pa.ArrowException, ValueError):
        return data[:-1]


def _written(table: Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink, **options)
    return sink.getvalue()


def _others(data: bytes) -> tuple[bytes, ...]:
    table, sink = parquet.read_table(io.BytesIO(data)), io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue(), b"a,b\n1,2\n", b"{}", b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", data + data, data[:4] + data[-8:]


def _place(table: Table, rng: random.Random) -> tuple[int, str]:
    index = rng.randrange(table.num_columns)
    return index, table.column_names[index]


def _retype(table: Table, rng: random.Random) -> Table:
    index, name = _place(table, rng)
    return table.set_column(index, name, table.column(index).cast(rng.choice(_TYPES), safe=False))


def _fill(table: Table, rng: random.Random) -> Table:
    index, name = _place(table, rng)
    return table.set_column(index, name, pa.array([rng.choice(_VALUES)] * table.num_rows))


def _cell(table: Table, rng: random.Random) -> Table:
    index, name = _place(table, rng)
    values = table.column(index).to_pylist()
    values[rng.randrange(len(values))] = rng.choice(_VALUES)
    return table.set_column(index, name, pa.array(values))


def _nulls(table: Table, rng: random.Random) -> Table:
    index, name = _place(table, rng)
    values = table.column(index).to_pylist()
    return table.set_column(
        index, name, pa.array([None if rng.random() < 0.5 else value for value in values], type=table.schema.field(index).type)
    )


def _nest(table: Table, rng: random.Random) -> Table:
    index, name = _place(table, rng)
    values = table.column(index).to_pylist()
    shape = rng.choice((lambda value: [value], lambda value: {"a": value}, lambda value: [[value], []], lambda value: [value] * 3))
    return table.set_column(index, name, pa.array([shape(value) for value in values]))


def _lose(table: Table, rng: random.Random) -> Table:
    return table.remove_column(rng.randrange(table.num_columns))


def _double(table: Table, rng: random.Random) -> Table:
    index, name = _place(table, rng)
    return table.append_column(rng.choice((name, name, f"{name}2", "")), table.column(index))


def _rename(table: Table, rng: random.Random) -> Table:
    names = list(table.column_names)
    names[rng.randrange(len(names))] = rng.choice((*names, "", "x", "é", "y" * 5000, "\0"))
    return table.rename_columns(names)


def _rows(table: Table, rng: random.Random) -> Table:
    kind = rng.randrange(5)
    if kind == 0:
        return table.slice(0, 0)
    if kind == 1:
        return table.slice(0, rng.randrange(table.num_rows))
    if kind == 2:
        return pa.concat_tables([table] * min(rng.choice((2, 500)), 1 + 50_000 // max(table.num_rows, 1)))
    order = np.array(rng.sample(range(table.num_rows), table.num_rows))
    return table.take(order) if kind == 3 else table.take(pa.array([0] * rng.choice((10, 20_000))))


def _wide(table: Table, rng: random.Random) -> Table:
    if not table.num_columns:
        return table
    for number in range(rng.choice((1, 500))):
        table = table.append_column(f"c{number}", table.column(0))
    return table


def _metadata(table: Table, rng: random.Random) -> Table:
    return table.replace_schema_metadata({"pandas": rng.choice(("{", "[]", '{"index_columns": ["nothing"], "columns": []}', "é"))})


_CHANGES: tuple[Callable[[Table, random.Random], Table], ...] = (
    _retype,
    _retype,
    _fill,
    _cell,
    _cell,
    _cell,
    _nulls,
    _nest,
    _lose,
    _double,
    _rename,
    _rows,
    _rows,
    _wide,
    _metadata,
)
