"""A graph as Parquet: nodes.parquet with a row for each node, and edges.parquet with `source` and `target`, numbers of its rows from 0.

The features are a column `features` of lists of one length, or columns f0, f1, ...; `label` is a number or a name, or null; and the splits,
if any, are the column `split`, or split_0, split_1, ... where there are several: train, valid, test (in other spellings too), none or null.
A column `id` may number the rows; others are left alone.
"""

from __future__ import annotations

from pathlib import Path

from stillhouse.contracts.parquets import read_parquet
from stillhouse.workloads.graphs._shared import columns
from stillhouse.workloads.graphs._shared.nodes import checked
from stillhouse.workloads.graphs._shared.one_graph.graph import Graph


def read(folder: Path, which: int) -> Graph:
    """The graph of a folder. Raises UserError, naming file and row, at what is wrong."""
    nodes, edges = folder / "nodes.parquet", folder / "edges.parquet"
    found = read_parquet(nodes)
    columns.require(found, ("label",), nodes)
    columns.in_order(found, nodes)
    features = checked(columns.features(found, nodes), f"{nodes}")
    label, names = columns.classes(found.column("label"), f"{nodes}, column 'label'")
    return Graph(features, label, names, *columns.both_ends(edges, len(features)), columns.split(found, which, nodes))
