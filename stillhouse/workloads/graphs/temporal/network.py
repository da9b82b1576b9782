"""What all model families have in common: the frame of a forecast, and the head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.output import NODES, Feature, Output
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed
from stillhouse.workloads.graphs.temporal.batch import Batch

if TYPE_CHECKING:
    from jaxtyping import Float

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"softplus": nn.functional.softplus, "tanh": torch.tanh, "relu": torch.relu}


class FamilySettings(Settings):
    """`width` is the number of hidden channels everywhere (16 as published for time-then-graph)."""

    width: int = Field(16, gt=0)
    activation: Literal["softplus", "tanh", "relu"] = "softplus"
    anchor: Literal["none", "last", "mean"] = "none"
    """For values: the network sees and predicts the difference from this value of each node's window (and sees the value itself
    as one more channel for each target), and not the value."""


class Body(nn.Module):
    """What a family fills in: from the histories of nodes and edges to a state of each node."""

    axis: Axis
    """The axis of the last state."""

    def forward(self, batch: Batch, history: Float[Tensor, "nodes steps channels"]) -> dict[str, Float[Tensor, "nodes _"]]:
        """(nodes, steps, channels) -> named states (nodes, channels), the one to be read out last."""
        raise NotImplementedError


Builder = Callable[[Blueprint, int], Body]
"""Takes the blueprint and the number of input channels."""


class Network(nn.Module):
    """A body between the frame and the head: act -> Linear -> act -> Linear, on each node, or on the mean of a window's nodes."""

    def __init__(self, settings: FamilySettings, sizes: Mapping[str, int], build: Builder, architecture: Architecture | None) -> None:
        super().__init__()
        self.settings, self.classes, self.outputs = settings, sizes["classes"], sizes["outputs"]
        self.blueprint = Blueprint(architecture)
        anchored = 0 if self.classes or settings.anchor == "none" else self.outputs
        self.body = build(self.blueprint, sizes["channels"] + anchored)
        hidden = self.blueprint.width("head", settings.width)
        self.gate_in, self.gate_out = self.blueprint.gate(self.body.axis), self.blueprint.gate(hidden)
        self.first = self.blueprint.linear(self.body.axis, hidden)
        self.second = self.blueprint.linear(hidden, fixed(self.classes or self.outputs))
        self.activate = ACTIVATIONS[settings.activation]

    def forward(self, batch: Batch) -> Output:
        """Values (nodes, outputs) in units of the target, or logits (windows, classes)."""
        anchor = self._anchor(batch)
        states = self.body(batch, batch.history if anchor is None else _with_anchor(batch.history, anchor))
        state = next(reversed(states.values()))
        if self.classes:
            state = _window_mean(state, batch)
        hidden = self.activate(self.first(self.gate_in(self.activate(state))))
        prediction = self.second(self.gate_out(hidden))
        features = {name: Feature(value, NODES) for name, value in states.items()} | {"head": Feature(hidden, NODES)}
        if self.classes:
            return Output(prediction, "classes", features)
        return Output(prediction if anchor is None else anchor + prediction, "values", features)

    def _anchor(self, batch: Batch) -> Float[Tensor, "nodes outputs"] | None:
        """(nodes, outputs)"""
        if self.classes or self.settings.anchor == "none":
            return None
        return batch.last if self.settings.anchor == "last" else batch.history[..., : self.outputs].mean(1)


def framed(body: Callable[[Any, Blueprint, int], Body]) -> Callable[[Any, Mapping[str, int], Architecture | None], Network]:
    """Builds the network of a family from its body alone, for windows of the sizes that `load` gives."""

    def build(settings: FamilySettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Network:
        return Network(settings, sizes, lambda blueprint, channels: body(settings, blueprint, channels), architecture)

    return build


def _with_anchor(
    history: Float[Tensor, "nodes steps channels"], anchor: Float[Tensor, "nodes outputs"]
) -> Float[Tensor, "nodes steps channels+outputs"]:
    """(nodes, steps, channels + outputs): the first channels, which are the targets', less the anchor, and the anchor itself."""
    outputs, level = anchor.shape[1], anchor[:, None].expand(-1, history.shape[1], -1)
    return torch.cat((history[..., :outputs] - level, history[..., outputs:], level), -1)


def _window_mean(state: Float[Tensor, "nodes channels"], batch: Batch) -> Float[Tensor, "{batch.windows} channels"]:
    """(nodes, channels) -> (windows, channels)"""
    total = state.new_zeros(batch.windows, state.shape[1]).index_add(0, batch.window, state)
    return total / torch.bincount(batch.window, minlength=batch.windows).to(state)[:, None]
