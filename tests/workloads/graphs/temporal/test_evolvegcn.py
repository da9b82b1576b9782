"""EvolveGCN against its formulas, one node and one column at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.evolvegcn import EvolveGcn, EvolveGcnSettings
from tests.workloads.graphs.temporal.graphs import dense, random_batch
from tests.workloads.graphs.temporal.peers import CHANNELS, body_of, difference, gru_weights, naive_gru, naive_neighbourhood, read_out


def summary(state: Tensor, direction: Tensor, count: int) -> list[Tensor]:
    """The rows of the best nodes, scaled; the last one again where there are too few."""
    scores = [(row @ direction / direction.norm()).item() for row in state]
    best = sorted(range(len(state)), key=lambda node: -scores[node])
    best = [best[min(place, len(best) - 1)] for place in range(count)]
    return [state[node] * torch.tanh(state[node] @ direction / direction.norm()) for node in best]


def naive(body: EvolveGcn, batch: Batch) -> Tensor:
    """(nodes, width) of the last step of a batch of one window, every layer at every step."""
    settings = body.settings
    states = list(batch.history.unbind(1))
    for index, layer in enumerate(body.layers):
        columns, outputs, weights = list(layer.initial), [], gru_weights(layer.evolve)
        for step, state in enumerate(states):
            given = summary(state, layer.score.weight[0], len(columns)) if settings.family == "evolvegcn_h" else columns
            columns = [naive_gru(weights, value, column) for value, column in zip(given, columns, strict=True)]
            output = naive_neighbourhood(dense(batch, step), settings.normalize) @ state @ torch.stack(columns, 1)
            outputs.append(output if index == settings.layers - 1 else output.relu())
        states = outputs
    return states[-1]


@pytest.mark.parametrize("family", ["evolvegcn_h", "evolvegcn_o"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_it_equals_the_formula(family: str, normalize: bool, layers: int) -> None:
    body = body_of(EvolveGcnSettings(family=family, width=4, layers=layers, normalize=normalize))
    batch = random_batch(3, 8, 5, CHANNELS)
    assert difference(read_out(body, batch), naive(body, batch)) < 1e-10


def test_a_window_may_have_fewer_nodes_than_the_weights_have_columns() -> None:
    body, batch = body_of(EvolveGcnSettings(family="evolvegcn_h", width=6)), random_batch(4, 3, 3, CHANNELS)
    assert difference(read_out(body, batch), naive(body, batch)) < 1e-10


def test_the_weights_of_the_o_form_see_no_data() -> None:
    """So that the prediction depends on the number of steps and on the last of them alone."""
    body, one = body_of(EvolveGcnSettings(family="evolvegcn_o", width=4)), random_batch(5, 6, 4, CHANNELS, static=True)
    history = one.history.clone()
    history[:, :-1] = 0
    assert difference(body(one, history)["layer1"], read_out(body, one)) == 0
    assert difference(read_out(body, random_batch(5, 6, 4, CHANNELS)), naive(body, random_batch(5, 6, 4, CHANNELS))) < 1e-10
