"""Time-then-graph (arXiv 2103.07016): the whole history of every node and of every edge first, then one static graph network.

h_v = Seq(X_v)    h_e = Seq(A_e), absent steps being -1    z = GNN(h_v; h_e) on the union of all steps' edges
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import softplus

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.convolution import Gine, Scaled, Weighted, normalised
from stillhouse.workloads.graphs.temporal.network import ACTIVATIONS, Body, FamilySettings, Network
from stillhouse.workloads.graphs.temporal.sequence import ENCODERS

if TYPE_CHECKING:
    from jaxtyping import Float


class TimeThenGraphSettings(FamilySettings):
    """Published: `edges: gru, join: concatenate, activation: softplus, anchor: none`; stripped form: `convolution: sum, join: none`."""

    family: Literal["time_then_graph"] = "time_then_graph"
    nodes: Literal["gru", "lstm", "attention", "series"] = "gru"
    edges: Literal["gru", "lstm", "attention", "series"] = "series"
    """How edges' histories are encoded; static edges have none, and enter with their weight."""
    convolution: Literal["gcn", "sum", "gine"] = "gcn"
    """`gcn` weighs an edge by softplus of a linear map of its state and normalises; `sum` weighs it by its state's mean."""
    layers: int = Field(2, ge=0)
    """None leaves the edges out: the control that says what they are worth."""
    join: Literal["concatenate", "residual", "weighted", "none"] = "weighted"
    """How the node's own state is joined to the last layer's; with `residual` every layer adds, and can be removed; with `weighted`
    it adds by a weight that is learned, so that edges that say nothing can be left aside."""
    activation: Literal["softplus", "tanh", "relu"] = "relu"

    @model_validator(mode="after")
    def _something_to_join(self) -> TimeThenGraphSettings:
        if self.layers == 0 and self.join != "none":
            raise ValueError("without layers there is nothing to join: join should be none")
        return self


class TimeThenGraph(Body):
    """Edge states, node states, and the layers between them."""

    def __init__(self, settings: TimeThenGraphSettings, sizes: Mapping[str, int], blueprint: Blueprint, channels: int) -> None:
        super().__init__()
        self.settings, self.static, self.steps = settings, bool(sizes["static"]), sizes["steps"]
        self.nodes = ENCODERS[settings.nodes](blueprint, "nodes", channels, settings.width, self.steps)
        if settings.layers:
            self._build_edges(blueprint)
        self.layers, self.gates, self.depth_gates = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        last = self._build_layers(blueprint, self.nodes.axis)
        self.axis = last + self.nodes.axis if settings.join == "concatenate" else last
        self.activate = ACTIVATIONS[settings.activation]

    def _build_edges(self, blueprint: Blueprint) -> None:
        settings = self.settings
        self.edge_axis = fixed(1)
        if not self.static:
            self.edges = ENCODERS[settings.edges](blueprint, "edges", 1 + (settings.edges == "series"), settings.width, self.steps)
            self.edge_axis = self.edges.axis
            self.edge_gate = blueprint.gate(self.edge_axis)
            if settings.convolution == "gcn":
                self.weigh = blueprint.linear(self.edge_axis, fixed(1))

    def _build_layers(self, blueprint: Blueprint, axis: Axis) -> Axis:
        settings, residual = self.settings, self.settings.join in ("residual", "weighted")
        for index in blueprint.depth("layers", settings.layers, minimum=1) if residual else range(settings.layers):
            outside = axis if residual else blueprint.width(f"layer{index}", settings.width)
            layer = self._layer(blueprint, f"layer{index}", axis, outside)
            self.gates[str(index)] = blueprint.gate(axis)
            if residual:
                self.depth_gates[str(index)] = blueprint.depth_gate("layers", index)
                blueprint.block("layers", index, layer)
            self.layers[str(index)], axis = layer, outside
        return axis

    def _layer(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis) -> nn.Module:
        if self.settings.convolution == "gine":
            layer: nn.Module = Gine(blueprint, name, (inside, outside, self.edge_axis), self.settings.width)
        else:
            layer = Weighted(blueprint, inside, outside)
        return Scaled(layer) if self.settings.join == "weighted" else layer

    def forward(self, batch: Batch, history: Float[Tensor, "nodes steps channels"]) -> dict[str, Float[Tensor, "nodes _"]]:
        """(nodes, steps, channels) -> states: `sequence` of each node's own history, `layer...`, and what is read out."""
        if history.shape[1] != self.steps or batch.static != self.static:
            got = f"{history.shape[1]} steps and {'static' if batch.static else 'changing'} edges"
            raise UserError(f"this network was made for {self.steps} steps and {'static' if self.static else 'changing'} edges - got {got}")
        own = self.nodes(history)
        states = {"sequence": own}
        edges, state = self._edge_states(batch, own.shape[0]) if self.layers else (batch.edges, None)
        for index, layer in self.layers.items():
            value = next(reversed(states.values()))
            changed = layer(self.gates[index](self.activate(value)), edges, state)
            states[f"layer{index}"] = value + self.depth_gates[index](changed) if index in self.depth_gates else changed
        if self.settings.join == "concatenate":
            states["state"] = torch.cat((next(reversed(states.values())), own), -1)
        return states

    def _edge_states(self, batch: Batch, nodes: int) -> tuple[Tensor, Tensor]:
        """The edges to be used, and for each its weight (edges,), or its state (edges, channels) for `gine`."""
        if self.static:
            weight = batch.weight
            state = weight[:, None]
        else:
            state = self.edge_gate(self.edges(self._edge_history(batch)))
            weight = self._weights(state)
        if self.settings.convolution == "gine":
            return batch.edges, state
        return normalised(batch.edges, weight, nodes) if self.settings.convolution == "gcn" else (batch.edges, weight)

    def _edge_history(self, batch: Batch) -> Tensor:
        """(pairs, steps, channels): the weight, -1 where absent; a linear map is given 0 there and the presence beside it."""
        history = batch.edge_history()
        if self.settings.edges != "series":
            return history[..., None]
        return torch.stack((history.clamp_min(0), (history >= 0).to(history)), -1)

    def _weights(self, state: Tensor) -> Tensor:
        if self.settings.convolution == "gcn":
            return softplus(self.weigh(state)).squeeze(-1)
        return state.sum(-1) / self.settings.width


def build(settings: TimeThenGraphSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Network:
    """The network for windows of the sizes that `load` gives."""
    return Network(settings, sizes, lambda blueprint, channels: TimeThenGraph(settings, sizes, blueprint, channels), architecture)


FAMILY = Family(TimeThenGraphSettings, build)
