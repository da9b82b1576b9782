"""Single layers of PyTorch Geometric, which need not be installed, for networks that it does not offer whole."""

from __future__ import annotations

from typing import Any

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.installed import MISSING


def layer(name: str) -> Any:
    """The class of layers of that name. Raises UserError if the package is not installed."""
    try:
        from torch_geometric import nn
    except ImportError:
        raise UserError(MISSING) from None
    return getattr(nn, name)
