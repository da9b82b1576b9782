"""Graph, then time: a GCN on each snapshot with that snapshot's own edges, then a GRU over the sequence of each node.

    H_t <- act(A^_t H_t W + b), `layers` times, W and b the same at all steps;      z = last state of GRU(H_1, ..., H_T)

All steps go through each layer together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Blueprint, fixed
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.graph_convolution import GraphSum, Neighbourhood
from stillhouse.workloads.graphs.temporal.network import ACTIVATIONS, Body, FamilySettings, framed
from stillhouse.workloads.graphs.temporal.recurrent import gru

if TYPE_CHECKING:
    from jaxtyping import Float


class GraphThenTimeSettings(FamilySettings):
    """`layers` of graph convolution; without `normalize` they are plain weighted sums."""

    family: Literal["graph_then_time"] = "graph_then_time"
    layers: int = Field(2, gt=0)
    normalize: bool = True


class Convolution(nn.Module):
    """A^ x W + b, summed over neighbours where there are fewer channels."""

    def __init__(self, blueprint: Blueprint, inside: int, outside: int) -> None:
        super().__init__()
        self.sum, self.sum_first = GraphSum(), inside <= outside
        self.linear = blueprint.linear(fixed(inside), fixed(outside), bias=False)
        self.bias = nn.Parameter(torch.zeros(outside))

    def forward(self, state: Tensor, around: Neighbourhood) -> Tensor:
        """(steps, nodes, inside) -> (steps, nodes, outside)"""
        value = self.linear(self.sum(state, around)) if self.sum_first else self.sum(self.linear(state), around)
        return value + self.bias


class GraphThenTime(Body):
    """States: of the last step after the graph layers, and of the whole sequence."""

    def __init__(self, settings: GraphThenTimeSettings, blueprint: Blueprint, channels: int) -> None:
        super().__init__()
        self.axis, self.normalize, self.activate = fixed(settings.width), settings.normalize, ACTIVATIONS[settings.activation]
        widths = [channels] + [settings.width] * settings.layers
        self.layers = nn.ModuleList(Convolution(blueprint, *pair) for pair in pairwise(widths))
        self.sequence = gru(settings.width)

    def forward(self, batch: Batch, history: Float[Tensor, "nodes steps channels"]) -> dict[str, Float[Tensor, "nodes _"]]:
        """(nodes, steps, channels) -> states (nodes, width)."""
        around = Neighbourhood.of(batch, self.normalize)
        state = history.transpose(0, 1).contiguous()
        for layer in self.layers:
            state = self.activate(layer(state, around))
        _, last = self.sequence(state)
        return {"graph": state[-1], "sequence": last[0]}


FAMILY = Family(GraphThenTimeSettings, framed(GraphThenTime))
