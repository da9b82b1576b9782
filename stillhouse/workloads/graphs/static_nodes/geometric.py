"""Networks of PyTorch Geometric for the classes of nodes, traced on a small graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.watched import Watched, watch
from stillhouse.space.blueprint import Architecture

_NODES = 6
"""Of the example, a ring."""


class GeometricSettings(Settings):
    """The sizes of a network, of which the last layer gives the classes."""

    hidden: int = Field(64, gt=1)
    """The width of each layer but the last."""
    layers: int = Field(2, gt=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    norm: Literal["none", "batch"] = "none"
    """`batch` normalises over the nodes between layers."""
    features: dict[str, Watched] = Field(default_factory=dict)
    """What losses may compare: a name of one's own -> the name of a module: `convs.0`, or `act`, which (but in
    `gin`) is the last hidden layer, activated."""


def network(
    name: str,
    settings: GeometricSettings,
    sizes: Mapping[str, int],
    architecture: Architecture | None,
    before: foreign.Before | None = None,
    **more: Any,
) -> nn.Module:
    """The network of the class `name` of `torch_geometric.nn.models`, with `more` arguments.

    `before` is a forward pre-hook that makes its arguments of features and edges. Raises UserError if the package is not installed, and as
    `foreign.network`.
    """
    models = _library()
    norm = "batch_norm" if settings.norm == "batch" else None
    widths = {"in_channels": sizes["features"], "out_channels": sizes["classes"], "hidden_channels": settings.hidden}
    given = widths | {"num_layers": settings.layers, "dropout": settings.dropout, "norm": norm, **more}

    def make() -> nn.Module:
        model: nn.Module = getattr(models, name)(**given)
        if before:
            model.register_forward_pre_hook(before)
        return model

    key = json.dumps([name, given], sort_keys=True)
    found = foreign.network(key, make, foreign.AsOutput("classes"), example(sizes), architecture, (_NODES, sizes["classes"]))
    return watch(found, settings.features, architecture)


def example(sizes: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """Features and edges, both ways, of a ring of nodes."""
    place = torch.arange(_NODES)
    edges = torch.stack((torch.cat((place, place.roll(1))), torch.cat((place.roll(1), place))))
    return torch.zeros(_NODES, sizes["features"]), edges


def _library() -> Any:
    try:
        from torch_geometric.nn import models
    except ImportError:
        missing = "wanted the package torch-geometric, which is not installed"
        raise UserError(f"models of static_nodes - {missing}: pip install 'stillhouse[graphs]'") from None
    return models
