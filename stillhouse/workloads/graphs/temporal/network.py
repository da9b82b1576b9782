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

LEAST_DEVIATION = 0.01
"""Is added to a window's standard deviation, in units of the target, so that a constant series is no division by 0."""


class FamilySettings(Settings):
    """`width` is the number of hidden channels everywhere (16 as published for time-then-graph)."""

    width: int = Field(16, gt=0)
    activation: Literal["softplus", "tanh", "relu"] = "softplus"
    anchor: Literal["none", "last", "mean", "standard"] = "standard"
    """For values: the network sees and predicts the difference from this value of each node's window (and sees the value itself
    as one more channel for each target), and not the value. With `standard` it is the difference from the mean in units of the
    window's standard deviation, and the value is no channel: a series whose level or size changes looks as it did before."""


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
        anchored = self.outputs if settings.anchor in ("last", "mean") and not self.classes else 0
        self.body = build(self.blueprint, sizes["channels"] + anchored)
        hidden = self.blueprint.width("head", settings.width)
        self.gate_in, self.gate_out = self.blueprint.gate(self.body.axis), self.blueprint.gate(hidden)
        self.first = self.blueprint.linear(self.body.axis, hidden)
        self.second = self.blueprint.linear(hidden, fixed(self.classes or self.outputs))
        self.activate = ACTIVATIONS[settings.activation]

    def forward(self, batch: Batch) -> Output:
        """Values (nodes, outputs) in units of the target, or logits (windows, classes)."""
        anchor, unit = self._anchor(batch), self._unit(batch)
        states = self.body(batch, _seen(batch.history, anchor, unit))
        state = next(reversed(states.values()))
        if self.classes:
            state = _window_mean(state, batch)
        hidden = self.activate(self.first(self.gate_in(self.activate(state))))
        prediction = self.second(self.gate_out(hidden))
        features = {name: Feature(value, NODES) for name, value in states.items()} | {"head": Feature(hidden, NODES)}
        if self.classes:
            return Output(prediction, "classes", features)
        prediction = prediction if unit is None else unit * prediction
        return Output(prediction if anchor is None else anchor + prediction, "values", features)

    def _anchor(self, batch: Batch) -> Float[Tensor, "nodes outputs"] | None:
        """(nodes, outputs)"""
        if self.classes or self.settings.anchor == "none":
            return None
        return batch.last if self.settings.anchor == "last" else batch.history[..., : self.outputs].mean(1)

    def _unit(self, batch: Batch) -> Float[Tensor, "nodes outputs"] | None:
        """(nodes, outputs)"""
        if self.classes or self.settings.anchor != "standard":
            return None
        return batch.history[..., : self.outputs].std(1, correction=0) + LEAST_DEVIATION


def framed(body: Callable[[Any, Blueprint, int], Body]) -> Callable[[Any, Mapping[str, int], Architecture | None], Network]:
    """Builds the network of a family from its body alone, for windows of the sizes that `load` gives."""

    def build(settings: FamilySettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Network:
        return Network(settings, sizes, lambda blueprint, channels: body(settings, blueprint, channels), architecture)

    return build


def _seen(
    history: Float[Tensor, "nodes steps channels"],
    anchor: Float[Tensor, "nodes outputs"] | None,
    unit: Float[Tensor, "nodes outputs"] | None,
) -> Float[Tensor, "nodes steps _"]:
    """The first channels, which are the targets', less the anchor; in the unit, or else with the anchor itself as further channels."""
    if anchor is None:
        return history
    difference, others = history[..., : anchor.shape[1]] - anchor[:, None], history[..., anchor.shape[1] :]
    if unit is not None:
        return torch.cat((difference / unit[:, None], others), -1)
    return torch.cat((difference, others, anchor[:, None].expand_as(difference)), -1)


def _window_mean(state: Float[Tensor, "nodes channels"], batch: Batch) -> Float[Tensor, "{batch.windows} channels"]:
    """(nodes, channels) -> (windows, channels)"""
    total = state.new_zeros(batch.windows, state.shape[1]).index_add(0, batch.window, state)
    return total / torch.bincount(batch.window, minlength=batch.windows).to(state)[:, None]
