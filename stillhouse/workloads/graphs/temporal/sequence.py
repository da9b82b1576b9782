"""Encoders of histories: (rows, steps, channels) -> (rows, width), one state for each row's whole series.

Each declares one width group; under masks it equals the encoder that is cut out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Axis, Blueprint, axis_mask, declare, fixed


class Encoder(nn.Module):
    """What all of them have."""

    axis: Axis
    """The axis of the states that come out."""


class Recurrent(Encoder):
    """The last hidden state of a GRU or an LSTM. Masks enter where the state is read, its own recurrence included."""

    def __init__(self, blueprint: Blueprint, name: str, channels: int, width: int, kind: type[nn.GRU | nn.LSTM]) -> None:
        super().__init__()
        self.axis, self.masks = blueprint.width(name, width), blueprint.masks
        gates = Axis(self.axis.parts * (3 if kind is nn.GRU else 4))
        axes: dict[str, tuple[Axis, ...]] = {"weight_ih_l0": (gates, fixed(channels)), "weight_hh_l0": (gates, self.axis)}
        axes |= dict.fromkeys(("bias_ih_l0", "bias_hh_l0"), (gates,))
        self.cell = declare(kind(channels, self.axis.count, batch_first=True), axes)
        declare(self, {}, (gates, fixed(channels) + self.axis))

    def forward(self, history: Tensor) -> Tensor:
        """(rows, steps, channels) -> (rows, width)"""
        mask = axis_mask(self.masks, self.axis, history)
        output = self.cell(history)[0] if mask is None else self._masked(history, mask)
        return output[:, -1]

    def _masked(self, history: Tensor, mask: Tensor) -> Tensor:
        named = dict(self.cell.named_parameters()) | {"weight_hh_l0": self.cell.get_parameter("weight_hh_l0") * mask}
        start, further = history.new_zeros(1, history.shape[0], self.axis.count), (True, 1, 0.0, self.training, False, True)
        if isinstance(self.cell, nn.GRU):
            return torch.gru(history, start, list(named.values()), *further)[0]
        return torch.lstm(history, (start, start), list(named.values()), *further)[0]

    def rows(self, history: Tensor) -> int:
        """Cell updates."""
        return history.shape[0] * history.shape[1]


class Attention(Encoder):
    """The last step asks all steps (one head, learned places), and its own embedding is added."""

    def __init__(self, blueprint: Blueprint, name: str, channels: int, width: int, steps: int) -> None:
        super().__init__()
        self.axis, query_key = blueprint.width(name, width), blueprint.width(f"{name}.query_key", width)
        self.scale = 1 / math.sqrt(width)  # of the full network, so that a cut changes no score
        self.first = blueprint.linear(fixed(channels), self.axis)
        self.place = blueprint.embedding(steps, self.axis)
        self.gate, self.gate_query_key = blueprint.gate(self.axis), blueprint.gate(query_key)
        self.query, self.key = blueprint.linear(self.axis, query_key), blueprint.linear(self.axis, query_key)
        self.value = blueprint.linear(self.axis, self.axis)
        declare(self, {}, (query_key + self.axis,))

    def forward(self, history: Tensor) -> Tensor:
        """(rows, steps, channels) -> (rows, width)"""
        state = self.gate(torch.tanh(self.first(history) + self.place.weight[-history.shape[1] :]))
        query = self.gate_query_key(self.query(state[:, -1:]))
        share = torch.softmax(query @ self.key(state).mT * self.scale, -1)
        return (share @ self.value(state)).squeeze(1) + state[:, -1]

    def rows(self, history: Tensor) -> int:
        """Scores, each a product over the query/key channels, and shares of values."""
        return history.shape[0] * history.shape[1]


class Series(Encoder):
    """tanh of one linear map of the whole series: no step waits for another, which makes it the fastest by far."""

    def __init__(self, blueprint: Blueprint, name: str, channels: int, width: int, steps: int) -> None:
        super().__init__()
        self.axis = blueprint.width(name, width)
        self.linear = blueprint.linear(fixed(steps * channels), self.axis)

    def forward(self, history: Tensor) -> Tensor:
        """(rows, steps, channels) -> (rows, width)"""
        return torch.tanh(self.linear(history.flatten(1)))


ENCODERS: Mapping[str, Callable[[Blueprint, str, int, int, int], Encoder]] = {
    "gru": lambda blueprint, name, channels, width, steps: Recurrent(blueprint, name, channels, width, nn.GRU),
    "lstm": lambda blueprint, name, channels, width, steps: Recurrent(blueprint, name, channels, width, nn.LSTM),
    "attention": Attention,
    "series": Series,
}
"""By name; each takes the blueprint, its group's name, channels, width and steps."""
