"""Networks of PyTorch Geometric for the classes of nodes, traced on a small graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.watched import Watched, watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs._shared.geometric import Sizes, arguments, body, key, ring

_NODES = 6
"""Of the example, a ring."""


class GeometricSettings(Sizes):
    """The sizes of a network, of which the last layer gives the classes: `hidden` is the width of each layer but that."""

    layers: int = Field(2, gt=0)
    dropout: float = Field(0.5, ge=0, lt=1)
    positions: bool = False
    """Whether the network sees where each node lies, beside its features, as `prepare: {positions: ...}` says."""
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
    if settings.positions and not sizes.get("positions"):
        raise UserError("models of static_nodes - wanted positions of nodes, `prepare: {positions: {size: 16}}` - there are none")
    inputs = sizes["features"] + (sizes["positions"] if settings.positions else 0)
    given = arguments(settings, inputs, sizes["classes"], more)

    def make() -> nn.Module:
        model = body(name, settings, given)
        for hook in (None if settings.positions else features_alone(sizes), before):
            if hook:
                model.register_forward_pre_hook(hook)
        return model

    recipe = key(name, settings, given)
    found = foreign.network(recipe, make, foreign.AsOutput("classes"), example(sizes), architecture, (_NODES, sizes["classes"]))
    return watch(found, settings.features, architecture)


def features_alone(sizes: Mapping[str, int]) -> foreign.Before | None:
    """A forward pre-hook that leaves the positions of nodes out; None where there are none."""
    if not sizes.get("positions"):
        return None
    return lambda module, given: (given[0][:, : sizes["features"]], *given[1:])


def without_edges(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """A forward pre-hook of networks that see no edge."""
    return given[:1]


def example(sizes: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """Features, with positions where there are some, and edges, both ways, of a ring of nodes."""
    return torch.zeros(_NODES, sizes["features"] + sizes.get("positions", 0)), ring(_NODES)
