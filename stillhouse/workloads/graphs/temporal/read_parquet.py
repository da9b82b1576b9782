"""Series and edges as Parquet, of one graph or of many.

The series: `step` (whole numbers), `node` (a number or a name, of its own in the whole file), `graph` if there are several,
and any number of columns of values, which are the channels. Every node has a row for each step of its graph, from the
graph's first to its last; graphs may differ in both, and are laid so that they end together. The edges: `source`, `target`,
and if wanted `step` and `weight`. The labels: `graph` and `label`, classes counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all
from stillhouse.contracts.parquets import read_parquet as read_table
from stillhouse.workloads.graphs.temporal.found import Found
from stillhouse.workloads.graphs.temporal.missing import REMEDY, Missing
from stillhouse.workloads.graphs.temporal.panel import Events, Graphs

Array = np.ndarray[Any, Any]
_MOST, _CELLS = 2**53, 100_000_000


@dataclass(frozen=True)
class _Nodes:
    """Names in the order of `names` have these positions in the panel; graphs by number have these first and last steps."""

    names: Array
    position: Array
    graph: Array
    """(nodes,) by position."""
    graphs: Array
    """Their names."""
    first: Array
    last: Array

    @property
    def steps(self) -> int:
        return int((self.last - self.first).max()) + 1


def read(series: Path, edges: Path, labels: Path | None, missing: Missing) -> Found:
    """The graphs of these files; raises UserError with file and row at what is wrong."""
    kept = missing != "refuse"
    table = _table(series, ("step", "node"), gaps=kept)
    channels = tuple(name for name in table if name not in ("step", "node", "graph"))
    if not channels:
        raise UserError(f"{series} - wanted a column of values beside step, node and graph - there is none")
    known, node, step = _nodes(table, series)
    features = _features(table, channels, known, (node, step), series, kept)
    rows = _table(edges, ("source", "target"), ("step", "weight"))
    classes = _labels(labels, known) if labels else None
    graphs = Graphs(torch.from_numpy(known.graph), torch.from_numpy(known.last - known.first + 1), classes)
    return Found(features, channels, _events(rows, known, edges), "step" not in rows, graphs)


def _table(path: Path, wanted: tuple[str, ...], others: tuple[str, ...] | None = None, *, gaps: bool = False) -> dict[str, Array]:
    """The columns as arrays; with `others`, there may be these and no more; with `gaps`, values of channels may be missing."""
    table = read_table(path)
    names = table.column_names
    if not set(wanted) <= set(names) or (others is not None and not set(names) <= {*wanted, *others}):
        raise UserError(f"{path} - wanted columns {list(wanted)}{f' and perhaps {list(others)}' if others else ''} - got {names}")
    full = [name for name in names if table.column(name).null_count and not (gaps and name not in ("step", "node", "graph"))]
    holes = [(row, name) for name in full for row in np.flatnonzero(table.column(name).is_null().to_numpy()).tolist()]
    remedy = f"; {REMEDY}" if others is None else ""
    refuse_all(len(holes), lambda hole: f"{path}, row {holes[hole][0]} - wanted a value of {holes[hole][1]!r} - there is none{remedy}")
    return {name: _array(table.column(name), name, path) for name in names}


def _array(column: pa.ChunkedArray, name: str, path: Path) -> Array:
    kind = column.type
    if pa.types.is_uint64(kind) and (compute.max(column).as_py() or 0) < 2**63:
        return column.to_numpy().astype(np.int64)  # NumPy compares the two kinds as numbers with a fraction
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.to_numpy()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or not len(column):
        return np.array(column.to_pylist(), dtype=str)
    remedy = ": number the steps" if pa.types.is_temporal(kind) else ""
    raise UserError(f"{path} - wanted numbers or text in {name!r} - got {kind!s:.100}{remedy}")


def _nodes(table: dict[str, Array], path: Path) -> tuple[_Nodes, Array, Array]:
    """The nodes, and of every row its node's position and its step, counted so that graphs end together."""
    steps = _whole(table["step"], "step", path)
    for column in {"node", "graph"} & set(table):
        if table[column].dtype.kind == "f":
            _refuse(path, ~np.isfinite(table[column]), f"a name of the {column}", table[column])
    names, start, inverse = np.unique(table["node"], return_index=True, return_inverse=True)
    graphs, graph = np.unique(table.get("graph", np.zeros(len(steps), dtype=np.int64)), return_inverse=True)
    if not len(steps):
        raise UserError(f"{path} - wanted rows - there are none")
    if (unit := int(np.gcd.reduce(np.diff(np.unique(steps))))) > 1:
        raise UserError(f"{path} - wanted steps that count by 1 - got some that count by {unit}: divide 'step' by it, in the edges too")
    own = graph[start]
    if len(row := np.flatnonzero(own[inverse] != graph)):
        got = f"{graphs[own[inverse[row[0]]]]} and {graphs[graph[row[0]]]}"
        raise UserError(f"{path}, row {row[0]} - wanted node {names[inverse[row[0]]]} in one graph - got {got}")
    first, last = np.full(len(graphs), steps.max()), np.full(len(graphs), steps.min())
    np.minimum.at(first, graph, steps)
    np.maximum.at(last, graph, steps)
    order = np.argsort(own, kind="stable")
    known = _Nodes(names, np.argsort(order), own[order], graphs, first, last)
    return known, known.position[inverse], steps - last[graph] + known.steps - 1


def _refuse_too_many(known: _Nodes, channels: tuple[str, ...], path: Path) -> None:
    if (cells := len(known.names) * known.steps * len(channels)) > _CELLS:
        got = f"{len(known.names)} nodes, {known.steps} steps and {len(channels)} channels"
        raise UserError(f"{path} - wanted at most {_CELLS} values, nodes times steps times channels - got {got}, {cells:.3g} values")


def _refuse_cells(wrong: Array, rows: Array, known: _Nodes, path: Path) -> None:
    """`wrong` (cells, 2) are nodes and steps of another number of `rows` than one."""

    def told(index: int) -> str:
        node, step = wrong[index]
        name = known.names[np.argsort(known.position)[node]]
        original = step + known.last[known.graph[node]] - known.steps + 1
        remedy = "" if rows[node, step] else f"; {REMEDY}"
        return f"{path} - wanted one row of node {name} at step {original} - got {rows[node, step]}{remedy}"

    refuse_all(len(wrong), told)


def _features(
    table: dict[str, Array], channels: tuple[str, ...], known: _Nodes, place: tuple[Array, Array], path: Path, gaps: bool
) -> torch.Tensor:
    """(nodes, steps, channels); with `gaps`, NaN where there is no row or no value."""
    _refuse_too_many(known, channels, path)
    rows = np.zeros((len(known.names), known.steps), dtype=np.int64)
    np.add.at(rows, place, 1)
    begin = known.steps - 1 - (known.last - known.first)[known.graph]
    there = np.arange(known.steps) >= begin[:, None]
    _refuse_cells(np.argwhere((rows > 1) if gaps else (rows != there)), rows, known, path)
    values = [_finite(table[name], name, path, gaps) for name in channels]
    features = np.zeros((*rows.shape, len(channels)))
    features[there & (rows == 0)] = np.nan
    features[place] = np.stack(values, 1)
    return torch.from_numpy(features)


def _events(rows: dict[str, Array], known: _Nodes, path: Path) -> Events:
    source, target = (_found(rows[end], end, known, path) for end in ("source", "target"))
    count = len(source)
    step = np.zeros(count, dtype=np.int64)
    if "step" in rows:
        graph = known.graph[source]
        original, first, last = _whole(rows["step"], "step", path), known.first[graph], known.last[graph]
        _refuse(path, (original < first) | (original > last), "a step of the graph, as in the series", original)
        step = original - last + known.steps - 1
    weight = _finite(rows["weight"], "weight", path) if "weight" in rows else np.ones(count)
    return Events(
        torch.from_numpy(step),
        torch.from_numpy(source),
        torch.from_numpy(target),
        torch.from_numpy(weight),
        lambda event: f"{path}, row {event}",
    )


def _found(ends: Array, column: str, known: _Nodes, path: Path) -> Array:
    """The positions of named nodes."""
    if not len(ends):
        return np.zeros(0, dtype=np.int64)
    if (ends.dtype.kind == "U") != (known.names.dtype.kind == "U"):
        raise UserError(f"{path} - wanted {column!r} as {_kind(known.names)}, like the nodes of the series - got {_kind(ends)}")
    at = np.searchsorted(known.names, ends).clip(max=len(known.names) - 1)
    _refuse(path, known.names[at] != ends, f"as {column} a node of the series", ends)
    return known.position[at]


def _labels(path: Path, known: _Nodes) -> torch.Tensor:
    """(graphs,) of classes."""
    rows = _table(path, ("graph", "label"), ())
    label = _whole(rows["label"], "label", path)
    _refuse(path, label < 0, "a label of at least 0", label)
    names, at = np.unique(rows["graph"], return_index=True)
    if len(names) != len(label) or not np.array_equal(names, known.graphs):
        raise UserError(
            f"{path} - wanted one row for each of the {len(known.graphs)} graphs of the series - got {len(label)} rows of {len(names)}"
        )
    return torch.from_numpy(label[at])


def _whole(values: Array, name: str, path: Path) -> Array:
    if values.dtype.kind not in "iu":
        raise UserError(f"{path} - wanted {name!r} in whole numbers - got {_kind(values)}")
    _refuse(path, (values > _MOST) | (values < -_MOST), f"{name!r} within 2^53", values)
    return values.astype(np.int64)


def _finite(values: Array, name: str, path: Path, gaps: bool = False) -> Array:
    if values.dtype.kind not in "iuf":
        raise UserError(f"{path} - wanted {name!r} in numbers - got {_kind(values)}")
    _refuse(path, ~(np.isfinite(values) | (gaps & np.isnan(values))), f"a finite number as {name!r}", values)
    return values.astype(np.float64)


def _kind(values: Array) -> str:
    return {"U": "text", "f": "numbers with a fraction"}.get(values.dtype.kind, "whole numbers")


def _refuse(path: Path, wrong: Array, wanted: str, got: Array) -> None:
    rows = np.flatnonzero(wrong)
    refuse_all(len(rows), lambda row: f"{path}, row {rows[row]} - wanted {wanted} - got {got[rows[row]]}")
