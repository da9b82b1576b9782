"""Mutations of text in rows and columns: columns removed, doubled, renamed, in another order; separators, quotes, ragged rows."""

from __future__ import annotations

import random
from collections.abc import Callable

_CELLS = (
    *("", " ", "nan", "NaN", "-inf", "1e400", "-1", "0", "0.5", "1.0", "1e3", "9" * 400, "9" * 5000, "1_0", "\u0663", "0x10", "None"),
    *(
        '"',
        '"a',
        'a"b',
        '""',
        "a,b",
        "'a'",
        "#",
        "=1+1",
        "é",
        "e\u0301",
        "\u2028",
        "\x85",
        "\x0b",
        "\x1f",
        "\x00",
        "x" * 140_000,
        "18446744073709551616",
    ),
)
_SEPARATORS = (",", "\t", ";", "|", " ", ",,", "\u00a0", "\x1f")
Rows = list[list[str]]


def rows_mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three mutations of a table in text."""
    text = data.decode()
    apart = next((mark for mark in ("\t", ",", " ") if mark in text.partition("\n")[0]), " ")
    rows = [line.split(apart) for line in text.splitlines()] or [[""]]
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_CHANGES)(rows, rng)
        rows = rows or [[""]]
    if rng.random() < 0.1:
        apart = rng.choice(_SEPARATORS)
    end = rng.choice(("\n",) * 8 + ("\r\n", "\r", "\n\n"))
    return (end.join(apart.join(row) for row in rows) + end).encode(rng.choice(("utf-8",) * 10 + ("utf-8-sig", "utf-16")), errors="replace")


def _column(rows: Rows, rng: random.Random) -> int:
    return rng.randrange(max(1, len(rows[0])))


def _lose_column(rows: Rows, rng: random.Random) -> None:
    column = _column(rows, rng)
    for row in rows:
        del row[column : column + 1]


def _double_column(rows: Rows, rng: random.Random) -> None:
    column = _column(rows, rng)
    for row in rows:
        row[column:column] = row[column : column + 1] * rng.choice((1, 1, 2))


def _swap_columns(rows: Rows, rng: random.Random) -> None:
    first, second = _column(rows, rng), _column(rows, rng)
    for row in rows:
        if max(first, second) < len(row):
            row[first], row[second] = row[second], row[first]


def _rename(rows: Rows, rng: random.Random) -> None:
    heading = rng.randrange(max(1, len(rows[0])))
    rows[0][heading : heading + 1] = [rng.choice((*_CELLS, *rows[0], f" {rows[0][heading - 1]}" if rows[0] else "x"))]


def _cell(rows: Rows, rng: random.Random) -> None:
    row = rng.choice(rows)
    place = rng.randrange(len(row) + 1)
    row[place : place + 1] = [rng.choice(_CELLS)]


def _fill_column(rows: Rows, rng: random.Random) -> None:
    column, value = _column(rows, rng), rng.choice(_CELLS[:-2])
    for row in rows[1:]:
        row[column : column + 1] = [value]


def _ragged(rows: Rows, rng: random.Random) -> None:
    row = rng.choice(rows)
    row[:] = row[: rng.randrange(len(row) + 1)] if rng.random() < 0.5 else [*row, *["1"] * rng.choice((1, 3, 50_000))]


def _lose_row(rows: Rows, rng: random.Random) -> None:
    del rows[rng.randrange(len(rows))]


def _lose_header(rows: Rows, rng: random.Random) -> None:
    del rows[0]


def _only_header(rows: Rows, rng: random.Random) -> None:
    del rows[1:]


def _many_rows(rows: Rows, rng: random.Random) -> None:
    rows += [list(rng.choice(rows)) for _ in range(rng.choice((1, 2, 3000)))]


def _quote(rows: Rows, rng: random.Random) -> None:
    for row in rows:
        row[:] = [f'"{cell}"' for cell in row]


def _shuffle(rows: Rows, rng: random.Random) -> None:
    rng.shuffle(rows)


_CHANGES: tuple[Callable[[Rows, random.Random], None], ...] = (
    _lose_column,
    _double_column,
    _swap_columns,
    _rename,
    _rename,
    _cell,
    _cell,
    _cell,
    _fill_column,
    _ragged,
    _lose_row,
    _lose_header,
    _only_header,
    _many_rows,
    _quote,
    _shuffle,
)
