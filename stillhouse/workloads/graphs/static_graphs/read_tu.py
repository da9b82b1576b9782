"""Graphs as text files in the form of TU Dortmund's collection: lines of numbers with commas between them.

NAME_A.txt has two nodes, from 1, for each edge; NAME_graph_indicator.txt the graph, from 1, of each node; NAME_graph_labels.txt its class,
or NAME_graph_attributes.txt its values; and of each node NAME_node_labels.txt the kind, NAME_node_attributes.txt the features, if they are
there. What is said of edges is left out. A folder 10fold_idx may hold test_idx-1.txt, test_idx-2.txt, ...: the graphs, from 0, of a fold.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.faults import refuse_all
from stillhouse.contracts.raw import content
from stillhouse.contracts.texts import decoded, lines
from stillhouse.workloads.graphs._shared.nodes import Array, checked, ends
from stillhouse.workloads.graphs.static_graphs.folds import fold
from stillhouse.workloads.graphs.static_graphs.raw import Graphs, Targets, check

_WHOLE = 2**53
"""Below it, whole numbers are told apart."""


def read(folder: Path, which: int, *, values: bool) -> Graphs:
    """The graphs of a folder. Raises UserError, naming file and line, at what is wrong."""
    name = _name(folder)
    learnt = _targets(folder, name, values)
    edges, graph = _whole(_file(folder, name, "A"), 2) - 1, _whole(_file(folder, name, "graph_indicator"), 1)[:, 0] - 1
    source, target = ends(edges[:, 0], edges[:, 1], len(graph), f"{_file(folder, name, 'A')}, counted from 0")
    check(graph, source, target, len(learnt.label), str(folder))
    split = _split(folder, which, len(learnt.label))
    return Graphs(graph, _features(folder, name, len(graph)), _kinds(folder, name, len(graph)), source, target, learnt, split)


def _name(folder: Path) -> str:
    found = sorted(path.name.removesuffix("_A.txt") for path in folder.glob("*_A.txt"))
    if len(found) != 1:
        raise UserError(f"{folder} - wanted graphs.parquet, or one file NAME_A.txt - got {shortened(str(found), 200)}")
    return found[0]


def _file(folder: Path, name: str, what: str) -> Path:
    return folder / f"{name}_{what}.txt"


def _targets(folder: Path, name: str, values: bool) -> Targets:
    if values:
        path = _file(folder, name, "graph_attributes")
        found = checked(_numbers(path), f"{path}")
        return Targets(np.zeros(len(found), dtype=np.int64), values=found)
    names, place = np.unique(_whole(_file(folder, name, "graph_labels"), 1)[:, 0], return_inverse=True)
    return Targets(place, tuple(names.tolist()))


def _features(folder: Path, name: str, nodes: int) -> Array | None:
    path = _file(folder, name, "node_attributes")
    return checked(_of_each(_numbers(path), nodes, path), f"{path}") if path.exists() else None


def _kinds(folder: Path, name: str, nodes: int) -> Array | None:
    """The words of a line: some sets have several labels of a node."""
    path = _file(folder, name, "node_labels")
    if not path.exists():
        return None
    return _of_each(np.array([line.replace(" ", "") for line in _lines(path)], dtype=object), nodes, path)


def _of_each(rows: Array, nodes: int, path: Path) -> Array:
    if len(rows) != nodes:
        raise UserError(f"{path} - wanted a line for each of {nodes} nodes - got {len(rows)}")
    return rows


def _split(folder: Path, which: int, graphs: int) -> Array | None:
    if not (folder / "10fold_idx").exists():
        return None
    path = folder / "10fold_idx" / f"test_idx-{which + 1}.txt"
    tested = _whole(path, 1)[:, 0]
    wrong = np.flatnonzero((tested < 0) | (tested >= graphs))
    refuse_all(len(wrong), lambda at: f"{path}, line {wrong[at] + 1} - wanted a graph from 0 to {graphs - 1} - got {tested[wrong[at]]}")
    return fold(np.isin(np.arange(graphs), tested), which, f"{path}")


def _whole(path: Path, width: int) -> Array:
    found = _numbers(path)
    if found.shape[1] != width:
        raise UserError(f"{path} - wanted {width} whole numbers a line - got {found.shape[1]}")
    wrong = np.flatnonzero(~((np.abs(found) < _WHOLE) & (found == np.round(found))).all(1))
    refuse_all(len(wrong), lambda at: f"{path}, line {wrong[at] + 1} - wanted whole numbers - got {found[wrong[at]].tolist()}")
    return found.astype(np.int64)


def _numbers(path: Path) -> Array:
    text = "\n".join(_lines(path))
    try:
        found: Array = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise UserError(
            f"{path} - wanted lines of numbers with commas between them - {shortened(str(error).partition(';')[0], 200)}"
        ) from None
    return found


def _lines(path: Path) -> list[str]:
    found = [line.strip() for line in lines(decoded(f"{path}", content(path))) if line.strip()]
    if not found:
        raise UserError(f"{path} - wanted lines of numbers - there are none")
    return found
