"""Raw graphs, as all readers give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all
from stillhouse.workloads.graphs._shared.nodes import Array

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Targets:
    """What is learnt of each graph: its class or its values."""

    label: Int[Array, " graphs"]
    """The place of its class in `names`, or NONE; 0 where values are learnt."""
    names: tuple[str | int, ...] = ()
    values: Float[Array, "graphs values"] | None = None


@dataclass(frozen=True, eq=False)
class Graphs:
    """Nodes by their numbers from 0, those of a graph one after the other, and edges from `source` to `target`."""

    graph: Int[Array, " nodes"]
    """The number of its graph, which never falls."""
    features: Float[Array, "nodes features"] | None
    kind: Array | None
    """(nodes,) names of what nodes are, such as atoms."""
    source: Int[Array, " edges"]
    target: Int[Array, " edges"]
    targets: Targets
    split: Int[Array, " graphs"] | None
    """The place in SPLITS, or NONE; None where the raw data do not say."""
    molecules: bool = False
    """Whether nodes are the atoms of molecules, of which a model may then be asked as such."""


def check(graph: Array, source: Array, target: Array, graphs: int, place: str) -> None:
    """Raises UserError unless nodes stand graph by graph, each graph has some, and each edge stays within one."""
    if graph.dtype.kind not in "iu":
        raise UserError(f"{place} - wanted whole numbers, the graphs of nodes - got {graph.dtype}")
    wrong = np.flatnonzero((graph < 0) | (graph >= graphs))
    refuse_all(len(wrong), lambda at: f"{place}, node {wrong[at]} - wanted one of {graphs} graphs - got number {graph[wrong[at]]}, from 0")
    falls = np.flatnonzero(np.diff(graph.astype(np.int64)) < 0)
    refuse_all(len(falls), lambda at: f"{place}, node {falls[at] + 1} - wanted nodes graph by graph - got graph {graph[falls[at] + 1]}")
    empty = np.flatnonzero(np.bincount(graph, minlength=graphs) == 0)
    refuse_all(len(empty), lambda at: f"{place} - wanted a node of graph {empty[at]}, from 0 - there is none")
    apart = np.flatnonzero(graph[source] != graph[target])
    told = "wanted two nodes of one graph - got nodes {} and {}"
    refuse_all(len(apart), lambda at: f"{place}, edge {apart[at]} - {told.format(source[apart[at]], target[apart[at]])}")
