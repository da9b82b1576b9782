"""Where nodes lie in the graph, as numbers beside their features: NOSMOG's students see them in place of edges (arXiv 2208.10010).

NOSMOG takes DeepWalk's; these are PyTorch Geometric's encodings, computed of the nodes that may be seen before the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_array

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.workloads.graphs._shared.nodes import Array
from stillhouse.workloads.graphs.static_nodes import encodings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Positions(Settings):
    """Which encoding a node gets, and how many numbers it has; 0 is none.

    `laplacian`: eigenvectors of I - D^-1/2 A D^-1/2 after the first, each of mean square 1 and of either sign. `random_walk`: how likely a
    walk of 1, 2, ... steps ends where it began; its memory grows with the pairs of nodes so many steps apart.
    """

    kind: Literal["laplacian", "random_walk"] = "laplacian"
    size: int = Field(0, ge=0, le=512)


def positions(
    settings: Positions, edges: Int[Array, "2 arcs"], unseen: Bool[Array, " nodes"], *, undirected: bool, rng: torch.Generator
) -> Float[Array, "nodes size"]:
    """Of all nodes; an unseen one has the mean of the seen ones with an edge to it, or zeros if there is none.

    Raises UserError if the graph that is seen is too small.
    """
    kept = ~unseen
    inside = edges[:, kept[edges].all(0)]
    found = np.zeros((len(unseen), settings.size), dtype=np.float32)
    found[kept] = _encoded(settings, np.cumsum(kept)[inside] - 1, int(kept.sum()), undirected, rng)
    found[unseen] = mean_of_sources(edges[:, kept[edges[0]]], found)[unseen]
    return found


def mean_of_sources(edges: Int[Array, "2 arcs"], values: Float[Array, "nodes size"]) -> Float[Array, "nodes size"]:
    """Of each node, over the edges to it; zeros where there is none."""
    nodes = len(values)
    adjacency = csr_array((np.ones(edges.shape[1], dtype=np.float32), (edges[1], edges[0])), shape=(nodes, nodes))
    return (adjacency @ values) / np.maximum(adjacency.sum(1), 1)[:, None]


def _encoded(settings: Positions, edges: Array, nodes: int, undirected: bool, rng: torch.Generator) -> Array:
    if settings.kind == "laplacian" and settings.size >= nodes:
        raise UserError(f"prepare.positions.size - should be below the {nodes} nodes that may be seen - got {settings.size}")
    start = torch.randn(nodes, generator=rng).numpy()
    found = encodings.encoded(settings.kind, settings.size, torch.from_numpy(edges), nodes, start, undirected=undirected).numpy()
    return found * np.sqrt(nodes) if settings.kind == "laplacian" else found
