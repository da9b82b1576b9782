"""Networks with random weights, and time-then-graph written out node by node and edge by edge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.convolution import Gine, Scaled
from stillhouse.workloads.graphs.temporal.families.time_then_graph import TimeThenGraph, TimeThenGraphSettings
from stillhouse.workloads.graphs.temporal.network import ACTIVATIONS, FamilySettings, Network
from stillhouse.workloads.graphs.temporal.sequence import Attention, Encoder, Recurrent, Series
from tests.workloads.graphs.temporal.graphs import random_batch
from tests.workloads.graphs.temporal.peers import gru_weights, naive_gru

CHANNELS, STEPS, WIDTH = 2, 4, 3
KINDS = ("gru", "lstm", "attention", "series")
CONVOLUTIONS = ("gcn", "sum", "gine")
JOINS = ("concatenate", "residual", "none")
Module = TypeVar("Module", bound=nn.Module)
States = dict[tuple[int, int], Tensor]
"""By the source and the target of an edge."""


def settings_of(
    nodes: str = "gru", edges: str = "gru", convolution: str = "gcn", join: str = "concatenate", **others: object
) -> TimeThenGraphSettings:
    """Published unless told."""
    return TimeThenGraphSettings.model_validate(
        {"activation": "softplus", "anchor": "none", "width": WIDTH}
        | {"nodes": nodes, "edges": edges, "convolution": convolution, "join": join, **others}
    )


SOME = [
    settings_of(KINDS[index % 4], KINDS[(index + index // 4) % 4], convolution, join)
    for index, (convolution, join) in enumerate([*product(CONVOLUTIONS, JOINS), *product(CONVOLUTIONS, ("weighted",))])
]
"""Every convolution with every join; every encoder of nodes and of edges."""


def some_batch(seed: int = 1, **options: object) -> Batch:
    """Seven nodes."""
    return random_batch(seed, 7, STEPS, CHANNELS, **options)  # type: ignore[arg-type]


def sizes_of(batch: Batch, classes: int = 0) -> dict[str, int]:
    """As `load` gives them."""
    channels, outputs = batch.history.shape[2], 0 if classes else batch.target.shape[1]
    return {"channels": channels, "outputs": outputs, "classes": classes, "steps": batch.steps, "static": int(batch.static)}


def network_of(settings: FamilySettings, sizes: Mapping[str, int], architecture: Architecture | None = None, seed: int = 0) -> Network:
    """In double precision, every parameter random."""
    network = WORKLOAD.model(settings, sizes, architecture).double().eval()
    assert isinstance(network, Network)
    return randomised(network, seed)


def randomised(module: Module, seed: int = 0) -> Module:
    """The same module, its parameters drawn anew."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        scale = math.sqrt(parameter.shape[-1]) if parameter.dim() else 1.0
        parameter.data = torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / scale
    return module


def naive_prediction(network: Network, batch: Batch) -> Tensor:
    """What a network without an anchor predicts for each node."""
    body, activate = network.body, ACTIVATIONS[network.settings.activation]
    assert isinstance(body, TimeThenGraph)
    hidden = activate(naive_state(body, batch, batch.history)) @ network.first.weight.T + network.first.bias
    return activate(hidden) @ network.second.weight.T + network.second.bias


def naive_state(body: TimeThenGraph, batch: Batch, history: Tensor) -> Tensor:
    """(nodes, channels), read out last."""
    settings = body.settings
    own = value = naive_encoder(body.nodes, history)
    states = naive_edges(body, batch)
    for layer in body.layers.values():
        inside = ACTIVATIONS[settings.activation](value)
        convolution = layer.convolution if isinstance(layer, Scaled) else layer
        if isinstance(convolution, Gine):
            changed = naive_gine(convolution, inside, states)
        else:
            changed = naive_matrix(body, states, len(own)) @ (inside @ convolution.linear.weight.T) + convolution.bias
        changed = layer.weight * changed if isinstance(layer, Scaled) else changed
        value = value + changed if settings.join in ("residual", "weighted") else changed
    return torch.cat((value, own), 1) if settings.join == "concatenate" else value


def naive_edges(body: TimeThenGraph, batch: Batch) -> States:
    """The state of every edge that is there at one step at least."""
    series = series_of(batch)
    if batch.static:
        return {pair: torch.stack(values[:1]) for pair, values in series.items()}
    seen = _with_presence if body.settings.edges == "series" else _alone
    return {pair: naive_encoder(body.edges, torch.stack([seen(value) for value in values])[None])[0] for pair, values in series.items()}


def _alone(value: Tensor) -> Tensor:
    return value[None]


def _with_presence(value: Tensor) -> Tensor:
    """The weight and a one, or two zeros where the edge is absent."""
    return torch.stack((value, torch.ones_like(value))) if value >= 0 else value.new_zeros(2)


def series_of(batch: Batch) -> dict[tuple[int, int], list[Tensor]]:
    """The weight of every edge at every step, -1 where it is absent."""
    found: dict[tuple[int, int], list[Tensor]] = {}
    for step in range(batch.steps):
        edges, weight = batch.at(step)
        for source, target, value in zip(*edges.tolist(), weight, strict=True):
            found.setdefault((source, target), [torch.tensor(-1.0, dtype=weight.dtype)] * batch.steps)[step] = value
    return found


def naive_matrix(body: TimeThenGraph, states: States, nodes: int) -> Tensor:
    """(nodes, nodes): what each target takes of each source."""
    matrix = torch.zeros(nodes, nodes, dtype=torch.float64)
    for (source, target), state in states.items():
        if body.static:
            matrix[target, source] = state[0]
        elif body.settings.convolution == "sum":
            matrix[target, source] = state.mean()
        else:
            matrix[target, source] = torch.log1p(torch.exp(body.weigh.weight[0] @ state + body.weigh.bias[0]))
    if body.settings.convolution == "sum":
        return matrix
    matrix = torch.stack([torch.stack([matrix.new_ones(()) if i == j else matrix[i, j] for j in range(nodes)]) for i in range(nodes)])
    degree = matrix.sum(1)
    return torch.stack([torch.stack([matrix[i, j] / (degree[i] * degree[j]).sqrt() for j in range(nodes)]) for i in range(nodes)])


def naive_gine(layer: Gine, value: Tensor, states: States) -> Tensor:
    total = [(1 + layer.eps) * row for row in value]
    for (source, target), state in states.items():
        total[target] = total[target] + torch.relu(value[source] + layer.lift.weight @ state + layer.lift.bias)
    hidden = torch.relu(torch.stack(total) @ layer.first.weight.T + layer.first.bias)
    return hidden @ layer.second.weight.T + layer.second.bias


def naive_encoder(encoder: Encoder, history: Tensor) -> Tensor:
    """(rows, steps, channels) -> (rows, width), row by row and step by step."""
    rule = {Attention: _attention, Series: _series, Recurrent: _gru}[type(encoder)]
    if isinstance(encoder, Recurrent) and isinstance(encoder.cell, nn.LSTM):
        rule = _lstm
    return torch.stack([rule(encoder, row) for row in history])


def _gru(encoder: Recurrent, row: Tensor) -> Tensor:
    state = row.new_zeros(encoder.axis.count)
    for value in row:
        state = naive_gru(gru_weights(encoder.cell), value, state)
    return state


def _lstm(encoder: Recurrent, row: Tensor) -> Tensor:
    weights = gru_weights(encoder.cell)
    state = memory = row.new_zeros(encoder.axis.count)
    for value in row:
        sums = weights["weight_ih"] @ value + weights["bias_ih"] + weights["weight_hh"] @ state + weights["bias_hh"]
        take, forget, fresh, show = sums.view(4, -1)
        memory = torch.sigmoid(forget) * memory + torch.sigmoid(take) * torch.tanh(fresh)
        state = torch.sigmoid(show) * torch.tanh(memory)
    return state


def _attention(encoder: Attention, row: Tensor) -> Tensor:
    places = encoder.place.weight[len(encoder.place.weight) - len(row) :]
    states = [torch.tanh(_linear(encoder.first, value) + place) for value, place in zip(row, places, strict=True)]
    query, width = _linear(encoder.query, states[-1]), WIDTH
    scores = [torch.exp(query @ _linear(encoder.key, state) / math.sqrt(width)) for state in states]
    values = [_linear(encoder.value, state) for state in states]
    return sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True)) + states[-1]


def _series(encoder: Series, row: Tensor) -> Tensor:
    return torch.tanh(_linear(encoder.linear, torch.cat(list(row))))


def _linear(layer: nn.Linear, value: Tensor) -> Tensor:
    return layer.weight @ value + layer.bias
