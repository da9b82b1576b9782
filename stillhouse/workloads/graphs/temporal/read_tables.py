"""Series and edges as text: a CSV matrix of the series, and beside it an adjacency matrix, a list of edges or a GAL file.

Where the first line of a file has a tab, tabs separate in it, else commas.

Edges hold at all steps, unless their list has a column of steps. Row i and column j of an adjacency matrix are the edge
from node i to node j, absent where it is 0. A GAL file (libpysal) names the neighbours of each node: edges into it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.workloads.graphs.temporal import read_gal
from stillhouse.workloads.graphs.temporal.found import Found, matrix, nodes, positions, text, whole
from stillhouse.workloads.graphs.temporal.index import index_columns, number
from stillhouse.workloads.graphs.temporal.missing import Missing
from stillhouse.workloads.graphs.temporal.panel import Events

Known = Mapping[Hashable, int]
HEADINGS = {"from": "source", "source": "source", "to": "target", "target": "target", "cost": "weight", "weight": "weight", "step": "step"}


@dataclass(frozen=True)
class File:
    """The name of a file, by which its form is known, and its bytes."""

    place: str
    content: bytes


@dataclass(frozen=True)
class _Rows:
    """The fields of all lines that are not empty, and the number of each such line."""

    place: str
    fields: list[list[str]]
    lines: list[int]

    def where(self, row: int) -> str:
        return f"{self.place}:{self.lines[row]}"


def read(series: File, edges: File, rows: Literal["steps", "nodes"], columns: str | None, missing: Missing) -> Found:
    """A series of one channel, called "value", with its edges.

    The lines of the series are steps or nodes; `columns` is a regular expression of the headings to take. Lines that are
    nodes begin with their name. Raises UserError with file and line at what is wrong.
    """
    features, names = _series(_rows(series), rows, columns, missing)
    known = positions(names, series.place)
    if edges.place.removesuffix(".gz").endswith(".gal"):
        events, static = read_gal.events(text(edges.place, edges.content), edges.place, known), True
    else:
        events, static = _listed_or_square(_rows(edges), known)
    return Found(features[:, :, None], ("value",), events, static)


def _rows(file: File) -> _Rows:
    content = text(file.place, file.content)
    delimiter = "\t" if "\t" in content.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(content), delimiter=delimiter, skipinitialspace=True)
    try:
        found = [(line, reader.line_num) for line in reader if line]
    except csv.Error as error:
        raise UserError(f"{file.place}:{reader.line_num} - wanted comma-separated values - {error}") from None
    if not found:
        raise UserError(f"{file.place} - wanted lines of comma-separated values - it is empty")
    return _Rows(file.place, [[field.strip() for field in line] for line, _ in found], [number for _, number in found])


def _below(found: _Rows) -> _Rows:
    """Without the header."""
    body, width = _Rows(found.place, found.fields[1:], found.lines[1:]), len(found.fields[0])

    def check(numbered: tuple[int, list[str]]) -> None:
        index, line = numbered
        if len(line) != width:
            raise UserError(f"{body.where(index)} - wanted {width} fields, as in the header - got {len(line)}")

    every(check, enumerate(body.fields))
    return body


def _series(found: _Rows, rows: Literal["steps", "nodes"], columns: str | None, missing: Missing) -> tuple[Tensor, list[str]]:
    """(nodes, steps), and the names of the nodes."""
    header, body = found.fields[0], _below(found)
    left_out = {0} if rows == "nodes" else set() if columns else index_columns(header, body.fields, body.where, found.place)
    chosen = [index for index, name in enumerate(header) if (index not in left_out if columns is None else re.fullmatch(columns, name))]
    if not chosen or not body.fields:
        got = f"{header} and {len(body.lines)} lines"
        raise UserError(f"{found.where(0)} - wanted headings that match {columns or 'anything'}, and lines below - got {got}")
    _check_headings(found.where(0), [header[index] for index in chosen])
    cells = [[line[index] for index in chosen] for line in body.fields]
    values = matrix(cells, body.where, names=[header[index] for index in chosen], missing=missing)
    if rows == "nodes":
        return values, [line[0] for line in body.fields]
    return values.T.contiguous(), [header[index] for index in chosen]


def _check_headings(place: str, names: list[str]) -> None:
    """Raises UserError at a line of values where headings should be; whole numbers may be the names of nodes."""
    if None not in map(number, names) and not all(name.isdecimal() for name in names):
        raise UserError(f"{place} - wanted a heading for each column - got numbers, {', '.join(names[:3])}: put a line of names above")


def _listed_or_square(found: _Rows, known: Known) -> tuple[Events, bool]:
    """The edges, and whether they hold at all steps."""
    header = [field.lower() for field in found.fields[0]]
    if not HEADINGS.keys() & set(header):
        return _square(found, len(known)), True
    columns = [HEADINGS.get(name, name) for name in header]
    if len(set(columns)) < len(columns) or not {"source", "target"} <= set(columns) <= set(HEADINGS.values()):
        raise UserError(f"{found.where(0)} - wanted the headings from, to and perhaps cost and step - got {found.fields[0]}")
    return _listed(_below(found), columns, known), "step" not in columns


def _listed(found: _Rows, columns: list[str], known: Known) -> Events:
    by_column = dict(zip(columns, map(list, zip(*found.fields, strict=True)), strict=True)) if found.fields else {}
    ends = by_column.get("source", []) + by_column.get("target", [])
    count = len(found.fields)
    source, target = nodes(ends, known, lambda end: found.where(end % count)).chunk(2) if ends else torch.zeros(2, 0, dtype=torch.int64)
    step, weight = (matrix([[field] for field in by_column.get(name, [])], found.where, 1, [name]) for name in ("step", "weight"))
    every = torch.zeros(count, dtype=torch.int64)
    return Events(
        whole(step, found.where)[:, 0] if "step" in columns else every,
        source,
        target,
        weight[:, 0] if "weight" in columns else every.double() + 1,
        found.where,
    )


def _square(found: _Rows, count: int) -> Events:
    if (len(found.lines), len(found.fields[0])) != (count, count):
        got = f"{len(found.lines)} lines, the first of {len(found.fields[0])} fields"
        raise UserError(f"{found.place} - wanted a matrix of {count} by {count} numbers, or a header from,to,cost - got {got}")
    adjacency = matrix(found.fields, found.where)
    source, target = adjacency.nonzero().unbind(1)
    return Events(
        torch.zeros_like(source),
        source,
        target,
        adjacency[source, target],
        lambda event: f"{found.where(int(source[event]))}, number {int(target[event]) + 1}",
    )
