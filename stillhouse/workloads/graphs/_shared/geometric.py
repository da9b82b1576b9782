"""What networks of PyTorch Geometric have in common, whatever is asked about a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.settings import Settings
from stillhouse.contracts.watched import Watched
from stillhouse.workloads.graphs._shared import installed
from stillhouse.workloads.graphs._shared.residual import past

if TYPE_CHECKING:
    from jaxtyping import Int


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


class Skips(Sizes):
    """The sizes, and what leads past the layers of a network that sees edges."""

    residual: bool = False
    """Adds a linear map of the node alone to what each layer makes of it and its neighbours."""
    jumping: Literal["none", "last", "cat", "max"] = "none"
    """Where the answers come from: the last layer itself (`none`), or a linear layer on the last one, activated (`last`), on all of them
    side by side (`cat`), or on the largest entries of all (`max`)."""


def arguments(settings: Sizes, inputs: int, outputs: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a class of `torch_geometric.nn.models` is made with, from and to so many channels of each node, and `more`."""
    widths = {"in_channels": inputs, "out_channels": outputs, "hidden_channels": settings.hidden}
    norm = "batch_norm" if settings.norm == "batch" else None
    skips = {"jk": None if settings.jumping == "none" else settings.jumping} if isinstance(settings, Skips) else {}
    return widths | {"num_layers": settings.layers, "dropout": settings.dropout, "norm": norm, **skips, **more}


def key(name: str, settings: Sizes, given: Mapping[str, Any]) -> str:
    """Says which network `body` makes."""
    return json.dumps([name, given, _residual(settings)], sort_keys=True, default=Tensor.tolist)


def body(name: str, settings: Sizes, given: Mapping[str, Any]) -> nn.Module:
    """The network of the class `name` of `torch_geometric.nn.models` with the arguments `given`, and maps past its layers if wanted.

    Raises UserError if the package is not installed.
    """
    model: nn.Module = getattr(installed.models(), name)(**given)
    if _residual(settings):
        past(model, given)
    return model


def _residual(settings: Sizes) -> bool:
    return isinstance(settings, Skips) and settings.residual


def ring(nodes: int) -> Int[Tensor, "2 edges"]:
    """The edges of a ring, both ways, on which networks are traced."""
    place = torch.arange(nodes)
    return torch.stack((torch.cat((place, place.roll(1))), torch.cat((place.roll(1), place))))
