"""GCRN against its formulas on dense matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.families.gcrn import Gcrn, GcrnSettings
from tests.workloads.graphs.temporal.graphs import dense, random_batch
from tests.workloads.graphs.temporal.peers import CHANNELS, body_of, difference, read_out


def naive_laplacian(matrix: Tensor) -> Tensor:
    """L~ with targets as rows."""
    nodes = len(matrix)
    result = torch.zeros_like(matrix)
    others = [[0.0 if i == j else matrix[i, j].item() for j in range(nodes)] for i in range(nodes)]
    for i in range(nodes):
        for j in range(nodes):
            if others[i][j]:
                result[j, i] = -others[i][j] / math.sqrt(sum(others[i]) * sum(row[j] for row in others))
    return result


def convolved(weight: Tensor, laplacian: Tensor, value: Tensor, terms: int) -> Tensor:
    """sum_k T_k(L~) x W_k, the polynomials as matrices; `weight` is (outside, terms * inside)."""
    polynomials = [torch.eye(len(laplacian), dtype=value.dtype), laplacian]
    while len(polynomials) < terms:
        polynomials.append(2 * laplacian @ polynomials[-1] - polynomials[-2])
    parts = weight.chunk(terms, 1)
    return sum((polynomials[k] @ value @ parts[k].T for k in range(terms)), torch.zeros(()))


def naive(body: Gcrn, batch: Batch) -> Tensor:
    """(nodes, width)"""
    state = cell = batch.history.new_zeros(len(batch.history), body.width)
    for step in range(batch.steps):
        laplacian = naive_laplacian(dense(batch, step))
        gates = convolved(body.inputs.weight, laplacian, batch.history[:, step], body.terms) + body.inputs.bias
        gates = gates + convolved(body.hidden.weight, laplacian, state, body.terms)
        enter, keep, output, candidate = gates.chunk(4, 1)
        enter, keep = torch.sigmoid(enter + body.peephole[0] * cell), torch.sigmoid(keep + body.peephole[1] * cell)
        cell = keep * cell + enter * torch.tanh(candidate)
        state = torch.sigmoid(output + body.peephole[2] * cell) * torch.tanh(cell)
    return state


@pytest.mark.parametrize("terms", [1, 2, 4])
def test_it_equals_the_formula(terms: int) -> None:
    body, batch = body_of(GcrnSettings(width=5, terms=terms)), random_batch(1, 8, 5, CHANNELS)
    assert isinstance(body, Gcrn)
    assert difference(read_out(body, batch), naive(body, batch)) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_the_laplacian_of_directed_edges_does_not_enlarge(seed: int) -> None:
    laplacian = naive_laplacian(dense(random_batch(seed, 9, 1, 1), 0))
    assert 0.1 < torch.linalg.matrix_norm(laplacian, 2) <= 1 + 1e-12


def test_its_multiply_adds() -> None:
    nodes, steps, terms, width = 7, 4, 3, 5
    body, batch = body_of(GcrnSettings(width=width, terms=terms)), random_batch(2, nodes, steps, CHANNELS)
    events, first = len(batch.weight), batch.starts[1]
    linear = nodes * terms * 4 * width * (steps * CHANNELS + (steps - 1) * width)
    sums = (terms - 1) * (events * CHANNELS + (events - first) * width)
    assert total(macs(body, lambda: body(batch, batch.history))) == linear + sums
