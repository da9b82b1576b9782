"""Graphs with a class each, of a table that holds several sets: one of them with one of its folds, as the folder of raw data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from benchmarks._cells import WORK


def raw(table: Path, name: str, fold: int) -> Path:
    """The folder with graphs.parquet, nodes.parquet and edges.parquet, in which the fold is number 0; written where it is not there yet.

    The table has `set`, `label`, `fold`, `node_label` (a list), and `edge_source` and `edge_target` (lists of places in the graph).
    """
    place = WORK / "graph_sets" / f"{name}-{fold}"
    if not (place / "edges.parquet").exists():
        place.mkdir(parents=True, exist_ok=True)
        rows = parquet.read_table(table, filters=[("set", "=", name)]).combine_chunks()
        tested = pc.equal(rows.column("fold"), fold)
        graphs = pa.table({"label": rows.column("label"), "fold": pc.if_else(tested, 0, 1)})
        parquet.write_table(graphs, place / "graphs.parquet")
        graph, kind = _flat(rows, "node_label")
        parquet.write_table(pa.table({"graph": graph, "kind": kind}), place / "nodes.parquet")
        parquet.write_table(_edges(rows, np.bincount(graph, minlength=rows.num_rows)), place / "edges.parquet")
    return place


def _edges(rows: pa.Table, nodes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Table:
    first = np.cumsum(nodes) - nodes
    ends = {name: _flat(rows, f"edge_{name}") for name in ("source", "target")}
    return pa.table({name: place + first[graph] for name, (graph, place) in ends.items()})


def _flat(rows: pa.Table, name: str) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The row of each value of a column of lists, and the values."""
    column = rows.column(name).combine_chunks()
    lengths = np.asarray(column.value_lengths()).astype(np.int64)
    return np.repeat(np.arange(len(lengths)), lengths), np.asarray(column.flatten()).astype(np.int64)
