"""A raw graph, as all readers give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.workloads.graphs._shared.nodes import Array

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by their numbers from 0, and edges from `source` to `target`."""

    features: Float[Array, "nodes features"]
    label: Int[Array, " nodes"]
    """The place of a node's class in `names`, or NONE."""
    names: tuple[str | int, ...]
    source: Int[Array, " edges"]
    target: Int[Array, " edges"]
    split: Int[Array, " nodes"] | None
    """The place in SPLITS, or NONE; None where the raw data do not say."""
