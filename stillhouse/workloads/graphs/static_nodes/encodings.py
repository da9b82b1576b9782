"""PyTorch Geometric, which need not be installed: its encodings of where nodes lie."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.installed import MISSING

_SPARSE = 100
"""From so many nodes on its eigenvectors are sought step by step."""


def encoded(kind: str, size: int, edges: Tensor, nodes: int, start: Any, *, undirected: bool) -> Tensor:
    """(nodes, size) numbers of the kind `laplacian` or `random_walk`; `start` (nodes,) is where eigenvectors are sought from.

    Raises UserError if the package is not installed.
    """
    try:
        from torch_geometric.data import Data
        from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE
    except ImportError:
        raise UserError(MISSING) from None
    if kind == "laplacian":
        transform = AddLaplacianEigenvectorPE(size, "found", undirected, **({"v0": start} if nodes >= _SPARSE else {}))
    else:
        transform = AddRandomWalkPE(size, "found")
    with torch.random.fork_rng([]):  # its signs are drawn anew at every call
        torch.manual_seed(0)
        found: Tensor = transform(Data(edge_index=edges, num_nodes=nodes)).found
    return found
