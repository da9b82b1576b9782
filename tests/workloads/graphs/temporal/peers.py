"""Bodies with random weights, and the formulas that they share, written out on dense matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from stillhouse.space.blueprint import Blueprint
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.evolvegcn import EvolveGcn, EvolveGcnSettings
from stillhouse.workloads.graphs.temporal.families.dcrnn import Dcrnn, DcrnnSettings
from stillhouse.workloads.graphs.temporal.families.gcrn import Gcrn, GcrnSettings
from stillhouse.workloads.graphs.temporal.families.graph_then_time import GraphThenTime, GraphThenTimeSettings
from stillhouse.workloads.graphs.temporal.network import Body, FamilySettings

CHANNELS = 3
BODIES: Mapping[str, type[Body]] = {
    "dcrnn": Dcrnn,
    "evolvegcn_h": EvolveGcn,
    "evolvegcn_o": EvolveGcn,
    "gcrn": Gcrn,
    "graph_then_time": GraphThenTime,
}
ALL = (
    DcrnnSettings(width=4),
    EvolveGcnSettings(family="evolvegcn_h", width=4),
    EvolveGcnSettings(family="evolvegcn_h", width=4, layers=3, normalize=False),
    EvolveGcnSettings(family="evolvegcn_o", width=4),
    GcrnSettings(width=4, terms=3),
    GraphThenTimeSettings(width=4),
    GraphThenTimeSettings(width=2, normalize=False, activation="tanh"),
)


def body_of(settings: FamilySettings, seed: int = 0) -> Body:
    """In double precision, every parameter random."""
    family = settings.family  # type: ignore[attr-defined]
    body = BODIES[family](settings, Blueprint(), CHANNELS).double()  # type: ignore[call-arg]
    rng = torch.Generator().manual_seed(seed)
    for parameter in body.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng, dtype=torch.float64) / math.sqrt(parameter.shape[-1])
    return body


def read_out(body: Body, batch: Batch) -> Tensor:
    """(nodes, width)"""
    return next(reversed(body(batch, batch.history).values()))


def difference(one: Tensor, other: Tensor) -> float:
    """The largest one between two tensors of the same shape."""
    assert one.shape == other.shape
    return (one - other).abs().max().item()


def naive_gru(weights: Mapping[str, Tensor], value: Tensor, state: Tensor) -> Tensor:
    """One step for one row: (inside,) and (width,) -> (width,)."""
    width = len(state)
    from_value, from_state = weights["weight_ih"] @ value + weights["bias_ih"], weights["weight_hh"] @ state + weights["bias_hh"]
    reset = torch.sigmoid(from_value[:width] + from_state[:width])
    keep = torch.sigmoid(from_value[width : 2 * width] + from_state[width : 2 * width])
    fresh = torch.tanh(from_value[2 * width :] + reset * from_state[2 * width :])
    return (1 - keep) * fresh + keep * state


def gru_weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """The parameters of a GRU or a GRU cell, by the names of the cell."""
    return {name.removesuffix("_l0"): parameter for name, parameter in module.named_parameters()}


def naive_neighbourhood(matrix: Tensor, normalize: bool) -> Tensor:
    """A^ of `dense` edges, transposed: its rows are the targets."""
    nodes = len(matrix)
    result = torch.zeros_like(matrix)
    with_loops = [[1.0 if i == j else matrix[i, j].item() for j in range(nodes)] for i in range(nodes)]
    degree = [sum(with_loops[i][j] for i in range(nodes)) for j in range(nodes)]
    for i in range(nodes):
        for j in range(nodes):
            result[j, i] = with_loops[i][j] / (math.sqrt(degree[i]) * math.sqrt(degree[j]) if normalize else 1)
    return result
