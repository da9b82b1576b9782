"""A forecast by a network of one's own: any network from a graph, in the form of PyTorch Geometric, to values of its nodes.

Given are `x` (nodes, steps * channels), the oldest step first, the channels of a step side by side; `edge_index` (2, edges), int64, source
and target; `edge_weight` (edges,). Wanted is (nodes, outputs). Windows lie side by side as one graph, without edges between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.temporal.batch import Batch

_NODES = 6
"""Of the example, a ring."""


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For values of nodes. Raises UserError where classes are asked for, or edges change from step to step."""
    if sizes["classes"] or not sizes["static"]:
        got = "classes of graphs" if sizes["classes"] else "edges that change"
        raise UserError(f"family module - wanted data in which nodes have values and edges are the same at every step - got {got}")
    place = torch.arange(_NODES)
    example = (torch.zeros(_NODES, sizes["steps"] * sizes["channels"]), torch.stack((place, place.roll(1))), torch.zeros(_NODES))
    return foreign.module(settings, example, architecture, AsOutput("values", settings.prediction), (_NODES, sizes["outputs"]), unpacked)


def unpacked(network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """A forward pre-hook: of a batch the tensors that the network takes; tensors as they are."""
    batch = given[0]
    return (batch.history.flatten(1), batch.edges, batch.weight) if isinstance(batch, Batch) else given


FAMILY = Family(ModuleSettings, module)
