"""PyTorch Geometric, which need not be installed: its networks, and its sums over the nodes of graphs."""

from __future__ import annotations

from typing import Any

from stillhouse.contracts.errors import UserError

MISSING = "static graphs - wanted the package torch-geometric, which is not installed: pip install 'stillhouse[graphs]'"


def models() -> Any:
    """Its module of networks. Raises UserError if it is not installed."""
    try:
        from torch_geometric.nn import models
    except ImportError:
        raise UserError(MISSING) from None
    return models


def pool(name: str) -> Any:
    """pool(x, batch, graphs) by the name `sum`, `mean` or `max`: of the nodes of each graph. Raises UserError if it is not installed."""
    try:
        from torch_geometric.nn import pool
    except ImportError:
        raise UserError(MISSING) from None
    return {"sum": pool.global_add_pool, "mean": pool.global_mean_pool, "max": pool.global_max_pool}[name]
