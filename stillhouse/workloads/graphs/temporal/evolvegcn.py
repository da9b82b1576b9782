"""EvolveGCN (arXiv 1902.10191): a graph convolution whose weights are the state of a recurrent network.

    W_t = GRU(Z_t, W_{t-1}),    H_t <- relu(A^_t H_t W_t)   in every layer, the columns of W the GRU's batch

from a learned W_0 at each window. For `evolvegcn_h` Z_t are the rows H_t[i] tanh(s_i) of the nodes with the highest
s = H_t p / |p|, as many as W has columns; for `evolvegcn_o` Z_t = W_{t-1}. The GRU form is built in both, its reset gate
after the product, and the last layer leaves its activation to the head.

What nothing reads is not computed: the answer is the state of the last step, so the last layer needs the edges of
the last step alone, and in `evolvegcn_o`, whose weights see no data, so do all layers.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.space.blueprint import Blueprint, declare, fixed
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.graph_convolution import GraphSum, Neighbourhood
from stillhouse.workloads.graphs.temporal.network import Body, FamilySettings
from stillhouse.workloads.graphs.temporal.recurrent import gru
from stillhouse.workloads.graphs.temporal.windows import Slots

if TYPE_CHECKING:
    from jaxtyping import Float


class EvolveGcnSettings(FamilySettings):
    """Which form, and its `layers`; without `normalize` the sums over neighbours are plain weighted ones."""

    family: Literal["evolvegcn_h", "evolvegcn_o"]
    layers: int = Field(2, gt=0)
    normalize: bool = True


class Product(nn.Module):
    """Rows of nodes times a matrix: one for all, or one for each step and window."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        declare(self, {}, (fixed(inside), fixed(outside)))

    def forward(self, state: Tensor, weight: Tensor, slots: Slots | None = None) -> Tensor:
        """(steps, nodes, inside) and (steps, windows, outside, inside), or (nodes, inside) and (outside, inside)."""
        return state @ weight.mT if slots is None else slots.gather(slots.spread(state) @ weight.mT)


class LayerH(nn.Module):
    """A layer whose weights follow the nodes."""

    def __init__(self, blueprint: Blueprint, inside: int, outside: int) -> None:
        super().__init__()
        self.initial = initial_weight(inside, outside)
        self.score = blueprint.linear(fixed(inside), fixed(1), bias=False)
        self.evolve, self.sum, self.product = gru(inside), GraphSum(), Product(inside, outside)

    def forward(self, state: Tensor, around: Neighbourhood, slots: Slots, last: bool) -> Tensor:
        """(steps, nodes, inside) -> (steps, nodes, outside), or (1, nodes, outside) of the last step."""
        weight = self._weights(state, slots)
        if last:
            return self.product(self.sum(state[-1], around, -1)[None], weight[-1:], slots)
        return self.product(self.sum(state, around), weight, slots)

    def _weights(self, state: Tensor, slots: Slots) -> Tensor:
        """(steps, windows, outside, inside): all W_t, transposed."""
        score = self.score(state).squeeze(-1) / self.score.weight.norm()
        chosen = slots.highest(score.detach(), len(self.initial)).flatten(1)
        chosen = chosen + state.shape[1] * torch.arange(state.shape[0], device=chosen.device)[:, None]
        rows = state.flatten(0, 1)[chosen] * score.flatten()[chosen].tanh()[..., None]
        weight, _ = self.evolve(rows, self.initial.repeat(slots.windows, 1)[None])
        return weight.unflatten(1, (slots.windows, len(self.initial)))


class LayerO(nn.Module):
    """A layer whose weights follow themselves."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.initial = initial_weight(inside, outside)
        self.evolve = declare(nn.GRUCell(inside, inside), {}, (fixed(3 * inside), fixed(2 * inside)))
        self.sum, self.product = GraphSum(), Product(inside, outside)

    def forward(self, state: Tensor, around: Neighbourhood, steps: int) -> Tensor:
        """(nodes, inside) -> (nodes, outside), both of the last step."""
        weight = self.initial
        for _ in range(steps):
            weight = self.evolve(weight, weight)
        return self.product(self.sum(state, around, -1), weight)


class EvolveGcn(Body):
    """States: of each layer at the last step."""

    def __init__(self, settings: EvolveGcnSettings, blueprint: Blueprint, channels: int) -> None:
        super().__init__()
        self.settings, self.axis = settings, fixed(settings.width)
        widths = [channels] + [settings.width] * settings.layers
        pairs = list(pairwise(widths))
        if settings.family == "evolvegcn_h":
            self.layers = nn.ModuleList(LayerH(blueprint, *pair) for pair in pairs)
        else:
            self.layers = nn.ModuleList(LayerO(*pair) for pair in pairs)

    def forward(self, batch: Batch, history: Float[Tensor, "nodes steps channels"]) -> dict[str, Float[Tensor, "nodes _"]]:
        """(nodes, steps, channels) -> states (nodes, width)."""
        if self.settings.family == "evolvegcn_h":
            return self._forward_h(batch, history)
        around, state, states = Neighbourhood.of(last_step(batch), self.settings.normalize), history[:, -1], {}
        for index, layer in enumerate(self.layers):
            state = layer(state.relu() if index else state, around, batch.steps)
            states[f"layer{index}"] = state
        return states

    def _forward_h(self, batch: Batch, history: Tensor) -> dict[str, Tensor]:
        around, slots = Neighbourhood.of(batch, self.settings.normalize), Slots.of(batch)
        state, states = history.transpose(0, 1).contiguous(), {}
        for index, layer in enumerate(self.layers):
            state = layer(state.relu() if index else state, around, slots, index == len(self.layers) - 1)
            states[f"layer{index}"] = state[-1]
        return states


def initial_weight(inside: int, outside: int) -> nn.Parameter:
    """(outside, inside): W_0, transposed."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(outside, inside)))


def last_step(batch: Batch) -> Batch:
    """A batch whose edges are those of the last step alone."""
    edges, weight = batch.at(batch.steps - 1)
    return replace(batch, edges=edges, weight=weight, pair=batch.pair[:0], starts=())
