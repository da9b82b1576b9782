"""What readers of graphs with features ask of them, and the edges that models see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import refuse_all

if TYPE_CHECKING:
    from jaxtyping import Int

Array = np.ndarray[Any, Any]
SPLITS = ("train", "valid", "test")
NONE = -1
"""In place of a class that is not known, and of the split of what is in none."""
MOST = 1e30
"""The largest size of a feature: sums over neighbours and layers stay within single precision."""
CELLS = 500_000_000
"""The most numbers of all nodes' features together: two gigabytes."""


def checked(features: Array, place: str) -> Array:
    """Features in single precision. Raises UserError that names the first rows in which a number is not finite."""
    if features.ndim != 2 or not features.size:
        raise UserError(f"{place} - wanted features of nodes, (nodes, features) - got {list(features.shape)}")
    if features.size > CELLS:
        raise UserError(f"{place} - wanted at most {CELLS} numbers - got {features.size}")
    rows = np.flatnonzero(~(np.abs(features) <= MOST).all(1))
    refuse_all(len(rows), lambda index: f"{place}, row {rows[index]} - wanted finite numbers, between -{MOST:g} and {MOST:g} - got another")
    return features.astype(np.float32)


def ends(source: Array, target: Array, nodes: int, place: str) -> tuple[Array, Array]:
    """Both ends of edges as numbers of nodes. Raises UserError that names the first rows with another."""
    for values in (source, target):
        if values.dtype.kind not in "iu":
            raise UserError(f"{place} - wanted whole numbers, the numbers of nodes from 0 - got {values.dtype}")
    wrong = np.flatnonzero((source < 0) | (source >= nodes) | (target < 0) | (target >= nodes))
    wanted = f"wanted two nodes from 0 to {nodes - 1}"
    refuse_all(len(wrong), lambda at: f"{place}, row {wrong[at]} - {wanted} - got {source[wrong[at]]} and {target[wrong[at]]}")
    return source.astype(np.int64), target.astype(np.int64)


def arcs(source: Int[Array, " edges"], target: Int[Array, " edges"], nodes: int, *, undirected: bool) -> Int[Array, "2 arcs"]:
    """Each edge once, or once in either direction, in the order of targets; without those from a node to itself.

    A layer that wants these (GCN and GAT do) adds them itself.
    """
    both = np.stack((source, target))
    if undirected:
        both = np.concatenate((both, both[::-1]), 1)
    both = both[:, both[0] != both[1]]
    number = np.unique(both[1] * nodes + both[0])
    return np.stack((number % nodes, number // nodes))
