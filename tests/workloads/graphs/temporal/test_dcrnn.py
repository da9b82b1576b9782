"""DCRNN against its formulas on dense matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.families.dcrnn import Dcrnn, DcrnnSettings
from tests.workloads.graphs.temporal.graphs import dense, random_batch
from tests.workloads.graphs.temporal.peers import CHANNELS, body_of, difference, read_out


def walk(matrix: Tensor) -> Tensor:
    """Each row divided by its sum; rows of zeros stay."""
    return torch.stack([row / row.sum() if row.sum() > 0 else row for row in matrix])


def convolved(weight: Tensor, matrix: Tensor, value: Tensor, hops: int) -> Tensor:
    """`weight` is (outside, (1 + 2 hops) * inside): no hop, then one forth and one back, then two of each."""
    first, *others = weight.chunk(1 + 2 * hops, 1)
    result = value @ first.T
    for hop in range(hops):
        for direction, edges in enumerate((walk(matrix), walk(matrix.T))):
            result = result + torch.linalg.matrix_power(edges, hop + 1) @ value @ others[2 * hop + direction].T
    return result


def naive(body: Dcrnn, batch: Batch) -> Tensor:
    """(nodes, width)"""
    state = batch.history.new_zeros(len(batch.history), body.width)
    for step in range(batch.steps):
        matrix = dense(batch, step)
        inputs = convolved(body.inputs.weight, matrix, batch.history[:, step], body.hops) + body.inputs.bias
        reset_input, keep_input, candidate_input = inputs.chunk(3, 1)
        reset_state, keep_state = convolved(body.gates.weight, matrix, state, body.hops).chunk(2, 1)
        reset, keep = torch.sigmoid(reset_input + reset_state), torch.sigmoid(keep_input + keep_state)
        candidate = torch.tanh(candidate_input + convolved(body.candidate.weight, matrix, reset * state, body.hops))
        state = keep * state + (1 - keep) * candidate
    return state


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_it_equals_the_formula(hops: int) -> None:
    body, batch = body_of(DcrnnSettings(width=5, hops=hops)), random_batch(1, 8, 5, CHANNELS)
    assert isinstance(body, Dcrnn)
    assert difference(read_out(body, batch), naive(body, batch)) < 1e-10


def test_its_multiply_adds() -> None:
    nodes, steps, hops, width = 7, 4, 2, 5
    body, batch = body_of(DcrnnSettings(width=width, hops=hops)), random_batch(2, nodes, steps, CHANNELS)
    events, first = len(batch.weight), batch.starts[1]
    linear = nodes * (1 + 2 * hops) * 3 * width * (steps * CHANNELS + (steps - 1) * width)
    sums = 2 * hops * (events * CHANNELS + (events - first) * 2 * width)
    assert total(macs(body, lambda: body(batch, batch.history))) == linear + sums
