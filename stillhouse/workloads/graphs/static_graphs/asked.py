"""The columns of a table of graphs, each row a graph with lists of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all
from stillhouse.workloads.graphs._shared.nodes import CELLS, Array, arcs

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class _Lists:
    """The lists of a column: all values one after the other, and to which row each belongs."""

    values: pa.Array
    row: Array
    lengths: Array


def sizes_of(table: pa.Table) -> Int[Tensor, " graphs"]:
    """How many nodes the graphs have, by the first column that tells of nodes. Raises UserError that names rows at what is wrong."""
    name = next(name for name in ("features", "kinds", "nodes") if name in table.column_names)
    found = table.column(name).to_numpy().astype(np.int64) if name == "nodes" else _lists(table, name).lengths
    wrong = np.flatnonzero(found < 1)
    refuse_all(len(wrong), lambda at: f"row {wrong[at]} - wanted a node at least - got {found[wrong[at]]}")
    if int(found.max()) > CELLS or int(found.sum()) > CELLS:
        raise UserError(f"wanted at most {CELLS} nodes in all - got {int(found.sum())}")
    if name == "features" and "kinds" in table.column_names:
        kinds = _lists(table, "kinds").lengths
        apart = np.flatnonzero(kinds != found)
        refuse_all(len(apart), lambda at: f"row {apart[at]} - wanted a kind of each of {found[apart[at]]} nodes - got {kinds[apart[at]]}")
    return torch.from_numpy(found.copy())


def features_of(table: pa.Table, nodes: Int[Tensor, " graphs"], width: int) -> Float[Array, "nodes features"]:
    """Raises UserError that names rows whose nodes have others than so many finite features."""
    found = _lists(table, "features")
    lengths = np.asarray(found.values.value_lengths().fill_null(0)).astype(np.int64)
    wrong = np.unique(found.row[lengths != width])
    refuse_all(len(wrong), lambda at: f"row {wrong[at]} - wanted {width} features of each node - got others")
    values: Array = found.values.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    odd = np.unique(found.row[~np.isfinite(values).all(1)])
    refuse_all(len(odd), lambda at: f"row {odd[at]} - wanted finite features - got others")
    return values


def kinds_of(table: pa.Table) -> Array:
    """(nodes,) names. Raises UserError that names rows in which one is missing."""
    found = _lists(table, "kinds")
    missing = np.unique(found.row[np.asarray(found.values.is_null())])
    refuse_all(len(missing), lambda at: f"row {missing[at]} - wanted a kind of each node - there is none")
    return np.array(found.values.to_pylist(), dtype=object)


def arcs_of(table: pa.Table, nodes: Int[Tensor, " graphs"], *, undirected: bool) -> tuple[Int[Tensor, "2 arcs"], Int[Tensor, " graphs"]]:
    """Edges by the numbers of nodes over all graphs, and how many each graph has. Raises UserError that names rows at what is wrong."""
    source, target = (_lists(table, name) for name in ("source", "target"))
    uneven = np.flatnonzero(source.lengths != target.lengths)
    told = "wanted as many sources as targets - got {} and {}"
    refuse_all(len(uneven), lambda at: f"row {uneven[at]} - {told.format(source.lengths[uneven[at]], target.lengths[uneven[at]])}")
    row, sizes = source.row, nodes.numpy()
    ends = [np.asarray(side.values.fill_null(-1)).astype(np.int64) for side in (source, target)]
    strange = np.flatnonzero(np.logical_or.reduce([(end < 0) | (end >= sizes[row]) for end in ends]))
    refuse_all(
        len(strange),
        lambda at: f"row {row[strange[at]]} - wanted nodes from 0 to {sizes[row[strange[at]]] - 1} - got {_pair(ends, int(strange[at]))}",
    )
    first = np.cumsum(sizes) - sizes
    found = arcs(ends[0] + first[row], ends[1] + first[row], int(sizes.sum()), undirected=undirected)
    graph = np.repeat(np.arange(len(sizes)), sizes)
    return torch.from_numpy(found), torch.from_numpy(np.bincount(graph[found[1]], minlength=len(sizes)))


def _pair(ends: list[Array], at: int) -> str:
    return f"{ends[0][at]} and {ends[1][at]}"


def _lists(table: pa.Table, name: str) -> _Lists:
    column: Any = table.column(name).combine_chunks()
    lengths = np.asarray(column.value_lengths()).astype(np.int64)
    return _Lists(column.flatten(), np.repeat(np.arange(len(lengths)), lengths), lengths)
