"""A kept graph with the new nodes of a table joined to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stillhouse.contracts.faults import refuse_all
from stillhouse.workloads.graphs._shared.nodes import Array
from stillhouse.workloads.graphs.static_nodes.positions import mean_of_sources

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Kept:
    """The nodes of a graph, the first `width` columns being features and the others positions; and its edges, as models see them."""

    features: Float[Tensor, "nodes _"]
    width: int
    edges: Int[Tensor, "2 edges"]
    undirected: bool


@dataclass(frozen=True, eq=False)
class _Lists:
    """The lists of a column: all values, and to which row each belongs."""

    values: Array
    row: Array
    lengths: Array


def joined(kept: Kept, table: pa.Table) -> tuple[Float[Tensor, "nodes _"], Int[Tensor, "2 edges"], Int[Tensor, " asked"]]:
    """Features, edges and the nodes that are asked about, new ones being the last nodes.

    A new node has a number that no node of the graph has, its `features`, and `neighbours`, old or new, or none; its positions are the
    mean of its old neighbours'. Raises UserError that names the rows at what is wrong.
    """
    node, nodes = table.column("node").to_numpy(), len(kept.features)
    features, neighbours = _lists(table, "features", np.float32), _lists(table, "neighbours", np.int64)
    new = (node >= nodes) & (features.lengths > 0)
    _check(kept, node, new, features, neighbours)
    if not new.any():
        return kept.features, kept.edges, torch.from_numpy(node.copy())
    numbers = np.sort(node[new])
    order = np.argsort(node[new])
    rows = features.values.reshape(-1, kept.width)[order]
    _refuse_strangers(node, neighbours, numbers, nodes)
    edges = np.stack((_placed(neighbours.values, numbers, nodes), _placed(node[neighbours.row], numbers, nodes)))
    if kept.undirected:
        edges = np.concatenate((edges, edges[::-1]), 1)
    edges = np.unique(edges[:, edges[0] != edges[1]], axis=1)
    old = kept.features[:, kept.width :].numpy()
    zeros = np.zeros((len(numbers), old.shape[1]), dtype=np.float32)
    located = mean_of_sources(edges[:, edges[0] < nodes], np.concatenate((old, zeros)))[nodes:]
    added = torch.from_numpy(np.concatenate((rows, located), 1).astype(np.float32))
    all_edges = torch.cat((kept.edges, torch.from_numpy(edges)), 1)
    return torch.cat((kept.features, added)), all_edges, torch.from_numpy(_placed(node, numbers, nodes))


def _lists(table: pa.Table, name: str, kind: type) -> _Lists:
    if name not in table.column_names:
        lengths = np.zeros(table.num_rows, dtype=np.int64)
        return _Lists(np.zeros(0, dtype=kind), lengths[:0], lengths)
    column = table.column(name).combine_chunks()
    lengths = column.value_lengths().to_numpy().astype(np.int64)
    values = column.flatten().to_numpy(zero_copy_only=False).astype(kind)
    return _Lists(values, np.repeat(np.arange(len(lengths)), lengths), lengths)


def _check(kept: Kept, node: Array, new: Array, features: _Lists, neighbours: _Lists) -> None:
    nodes = len(kept.features)
    wrong = np.flatnonzero((node < 0) | ((node >= nodes) & ~new))
    wanted = f"wanted a node from 0 to {nodes - 1}"
    refuse_all(len(wrong), lambda at: f"row {wrong[at]} - {wanted} - got {node[wrong[at]]}")
    _check_features(kept.width, node, new, features)
    fixed = np.flatnonzero(~new & (neighbours.lengths > 0))
    refuse_all(len(fixed), lambda at: f"row {fixed[at]} - wanted no neighbours of node {node[fixed[at]]}, which the graph has - got some")
    numbers, counts = np.unique(node[new], return_counts=True)
    twice = numbers[counts > 1]
    refuse_all(len(twice), lambda at: f"wanted each new node in one row - {twice[at]} is in several")


def _check_features(width: int, node: Array, new: Array, features: _Lists) -> None:
    """New nodes have as many as the kept graph's, all finite, and others none."""
    wide = np.flatnonzero(features.lengths != np.where(new, width, 0))
    known = "row {} - wanted no features of node {}, which the graph has - got some"
    refuse_all(
        len(wide),
        lambda at: (
            f"row {wide[at]} - wanted {width} features of a new node - got {features.lengths[wide[at]]}"
            if new[wide[at]]
            else known.format(wide[at], node[wide[at]])
        ),
    )
    odd = np.unique(features.row[~np.isfinite(features.values)])
    refuse_all(len(odd), lambda at: f"row {odd[at]} - wanted finite features - got others")


def _refuse_strangers(node: Array, neighbours: _Lists, numbers: Array, nodes: int) -> None:
    values = neighbours.values
    strange = np.flatnonzero((values < 0) | ((values >= nodes) & ~np.isin(values, numbers)))
    wanted = f"wanted neighbours from 0 to {nodes - 1}, or other new nodes"
    refuse_all(len(strange), lambda at: f"row {neighbours.row[strange[at]]} - {wanted} - got {values[strange[at]]}")


def _placed(number: Array, numbers: Array, nodes: int) -> Array:
    """Numbers of nodes in the joined graph."""
    found: Array = np.where(number < nodes, number, nodes + np.searchsorted(numbers, number))
    return found
