"""What models see of a node: its features, its kind as one of those that training graphs have, and how many edges it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.nodes import CELLS, Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Described:
    """How nodes are described: so many features, then a column for each of the kinds, then perhaps the number of edges."""

    features: int
    kinds: tuple[str, ...] | None
    degree: bool

    @property
    def width(self) -> int:
        """Of the description."""
        return self.features + len(self.kinds or ()) + self.degree

    def of(self, features: Array | None, kind: Array | None, arcs: Int[Array, "2 arcs"], nodes: int) -> Float[Array, "nodes _"]:
        """The description of nodes; a kind that is not known is no column's. Raises UserError if it takes too much memory."""
        if nodes * self.width > CELLS:
            raise UserError(f"kinds of nodes - wanted at most {CELLS} numbers - got {nodes} nodes with {self.width} columns")
        found = np.zeros((nodes, self.width), dtype=np.float32)
        if features is not None:
            found[:, : self.features] = features
        if self.kinds and kind is not None:
            names = np.array(self.kinds, dtype=object)
            place = np.searchsorted(names, kind).clip(max=len(names) - 1)
            rows = np.flatnonzero(names[place] == kind)
            found[rows, self.features + place[rows]] = 1
        if self.degree:
            found[:, -1] = np.bincount(arcs[1], minlength=nodes)
        return found


def described(features: Array | None, kind: Array | None, trained: Bool[Array, " nodes"], *, degree: bool, place: str) -> Described:
    """The kinds are those of nodes that are trained on. Raises UserError if there is nothing to see of a node."""
    if features is None and kind is None and not degree:
        raise UserError(f"{place} - wanted features or kinds of nodes, or their degrees (`prepare: {{degree: true}}`) - there are none")
    kinds = None if kind is None else tuple(sorted(set(kind[trained].tolist())))
    return Described(0 if features is None else features.shape[1], kinds, degree)
