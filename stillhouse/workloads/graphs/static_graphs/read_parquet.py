"""Graphs as Parquet: graphs.parquet with a row for each graph, nodes.parquet for each node, edges.parquet for each edge.

A graph has a `label` (a number or a name; or where values are learnt a number or a list of them), and perhaps a `split` (train, valid or
val, test, none or null), several, split_0, split_1, ..., or a `fold`, a number from 0, -1 for one in none. A node has the row of its
`graph`, `features` (a list) or f0, f1, ..., or a `kind` (a number or a name), or both; an edge the rows of `source` and `target`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parquets import read_parquet
from stillhouse.workloads.graphs._shared import columns
from stillhouse.workloads.graphs._shared.nodes import Array, checked
from stillhouse.workloads.graphs.static_graphs.folds import fold
from stillhouse.workloads.graphs.static_graphs.raw import Graphs, Targets, check


def read(folder: Path, which: int, *, values: bool) -> Graphs:
    """The graphs of a folder. Raises UserError, naming file and row, at what is wrong."""
    paths = [folder / f"{name}.parquet" for name in ("graphs", "nodes", "edges")]
    graphs, nodes = read_parquet(paths[0]), read_parquet(paths[1])
    columns.require(graphs, ("label",), paths[0])
    columns.require(nodes, ("graph",), paths[1])
    graph = columns.numbers(nodes.column("graph"), f"{paths[1]}, column 'graph'")
    source, target = columns.both_ends(paths[2], len(graph))
    check(graph, source, target, graphs.num_rows, str(folder))
    learnt, split = targets(graphs, paths[0], values=values), splits(graphs, which, paths[0])
    return Graphs(graph.astype(np.int64), _features(nodes, paths[1]), _kinds(nodes, paths[1]), source, target, learnt, split)


def targets(graphs: pa.Table, path: Path, *, values: bool) -> Targets:
    """The column `label`. Raises UserError at what is wrong."""
    return _values(graphs.column("label"), path) if values else _classes(graphs.column("label"), path)


def _features(nodes: pa.Table, path: Path) -> Array | None:
    if not {"features", "f0"} & set(nodes.column_names):
        return None
    return checked(columns.features(nodes, path), f"{path}")


def _kinds(nodes: pa.Table, path: Path) -> Array | None:
    if "kind" not in nodes.column_names:
        return None
    place, names = columns.classes(nodes.column("kind"), f"{path}, column 'kind'")
    if len(empty := np.flatnonzero(place < 0)):
        raise UserError(f"{path}, row {empty[0]} - wanted a kind of each node - there is none")
    return np.array([str(name) for name in names], dtype=object)[place]


def _classes(column: pa.ChunkedArray, path: Path) -> Targets:
    if pa.types.is_floating(column.type) or pa.types.is_nested(column.type):
        remedy = "numbers are learnt with `prepare: {values: true}`"
        raise UserError(f"{path}, column 'label' - wanted classes as whole numbers or as names - got {column.type}: {remedy}")
    return Targets(*columns.classes(column, f"{path}, column 'label'"))


def _values(column: pa.ChunkedArray, path: Path) -> Targets:
    place = f"{path}, column 'label'"
    found = columns.lists(column, f"{path}", "label") if pa.types.is_nested(column.type) else columns.numbers(column, place)[:, None]
    return Targets(np.zeros(len(found), dtype=np.int64), values=checked(found, place))


def splits(graphs: pa.Table, which: int, path: Path) -> Array | None:
    """The split of each graph, by columns of splits or one of folds; None where neither is there. Raises UserError at what is wrong."""
    if "fold" not in graphs.column_names:
        return columns.split(graphs, which, path)
    if named := [name for name in graphs.column_names if name == "split" or name.startswith("split_")]:
        raise UserError(f"{path} - wanted splits or folds - got columns 'fold' and {named[0]!r}: drop one of them")
    return _fold(graphs, which, path)


def _fold(graphs: pa.Table, which: int, path: Path) -> Array:
    place = f"{path}, column 'fold'"
    found = columns.numbers(graphs.column("fold"), place)
    if found.dtype.kind not in "iu":
        raise UserError(f"{place} - wanted whole numbers from 0, or -1 - got {found.dtype}")
    return fold(found == which, which, place)
