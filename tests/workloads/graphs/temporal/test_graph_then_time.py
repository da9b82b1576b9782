"""Graph-then-time against its formulas, one snapshot and one node at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.families.graph_then_time import GraphThenTime, GraphThenTimeSettings
from stillhouse.workloads.graphs.temporal.network import ACTIVATIONS
from tests.workloads.graphs.temporal.graphs import dense, random_batch
from tests.workloads.graphs.temporal.peers import CHANNELS, body_of, difference, gru_weights, naive_gru, naive_neighbourhood, read_out


def naive(body: GraphThenTime, batch: Batch, settings: GraphThenTimeSettings) -> Tensor:
    """(nodes, width)"""
    snapshots = []
    for step, state in enumerate(batch.history.unbind(1)):
        around = naive_neighbourhood(dense(batch, step), settings.normalize)
        for layer in body.layers:
            state = ACTIVATIONS[settings.activation](around @ state @ layer.linear.weight.T + layer.bias)
        snapshots.append(state)
    states, weights = [], gru_weights(body.sequence)
    for node in range(len(batch.history)):
        last = torch.zeros(settings.width, dtype=torch.float64)
        for snapshot in snapshots:
            last = naive_gru(weights, snapshot[node], last)
        states.append(last)
    return torch.stack(states)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("width", [2, 5])
def test_it_equals_the_formula(normalize: bool, layers: int, width: int) -> None:
    settings = GraphThenTimeSettings(width=width, layers=layers, normalize=normalize)
    body, batch = body_of(settings), random_batch(1, 8, 5, CHANNELS)
    assert isinstance(body, GraphThenTime)
    assert difference(read_out(body, batch), naive(body, batch, settings)) < 1e-10


@pytest.mark.parametrize("width", [2, 5])
def test_its_multiply_adds(width: int) -> None:
    """Sums are over as many channels as the narrower side of the linear map has."""
    nodes, steps = 7, 4
    body, batch = body_of(GraphThenTimeSettings(width=width)), random_batch(2, nodes, steps, CHANNELS)
    rows, entries = steps * nodes, steps * nodes + len(batch.weight)
    linear = rows * (CHANNELS * width + width * width + 3 * width * 2 * width)
    assert total(macs(body, lambda: body(batch, batch.history))) == linear + entries * (min(CHANNELS, width) + width)
