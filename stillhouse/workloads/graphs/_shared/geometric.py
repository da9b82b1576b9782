"""What networks of PyTorch Geometric have in common, whatever is asked about a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field

from stillhouse.contracts.settings import Settings
from stillhouse.contracts.watched import Watched

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor


class Sizes(Settings):
    """The sizes of a network of nodes."""

    hidden: int = Field(64, gt=1)
    """The width of each layer."""
    layers: int = Field(2, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    norm: Literal["none", "batch"] = "none"
    """`batch` normalises over the nodes between layers."""
    features: dict[str, Watched] = Field(default_factory=dict)
    """What losses may compare: a name of one's own -> the name of a module, such as `body`."""


def arguments(settings: Sizes, inputs: int, outputs: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a class of `torch_geometric.nn.models` is made with, from and to so many channels of each node, and `more`."""
    widths = {"in_channels": inputs, "out_channels": outputs, "hidden_channels": settings.hidden}
    norm = "batch_norm" if settings.norm == "batch" else None
    return widths | {"num_layers": settings.layers, "dropout": settings.dropout, "norm": norm, **more}


def ring(nodes: int) -> Int[Tensor, "2 edges"]:
    """The edges of a ring, both ways, on which networks are traced."""
    place = torch.arange(nodes)
    return torch.stack((torch.cat((place, place.roll(1))), torch.cat((place.roll(1), place))))
