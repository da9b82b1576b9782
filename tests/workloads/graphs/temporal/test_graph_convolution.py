"""The graph convolution against dense products, its self loops, and what it does to regular graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.workloads.graphs.temporal.graph_convolution import GraphSum, Neighbourhood
from tests.workloads.graphs.temporal.graphs import dense, random_batch
from tests.workloads.graphs.temporal.peers import difference, naive_neighbourhood


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("static", [True, False])
def test_it_equals_a_dense_product(normalize: bool, static: bool) -> None:
    batch = random_batch(0, 8, 3, 2, static)
    around, table = Neighbourhood.of(batch, normalize), batch.history.transpose(0, 1)
    expected = torch.stack([naive_neighbourhood(dense(batch, step), normalize) @ table[step] for step in range(3)])
    single = torch.stack([GraphSum()(table[step], around, step) for step in range(3)])
    assert difference(GraphSum()(table, around), expected) < 1e-12
    assert difference(single, expected) < 1e-12


def test_own_loops_weigh_one_whatever_the_data_say() -> None:
    batch = random_batch(0, 8, 3, 2)
    source, target = batch.edges[:, batch.pair]
    assert (source == target).any()
    other = replace(batch, weight=torch.where(source == target, 7.0, batch.weight))
    table = batch.history.transpose(0, 1).contiguous()
    for normalize in (True, False):
        one, two = (GraphSum()(table, Neighbourhood.of(given, normalize)) for given in (batch, other))
        assert torch.equal(one, two)


def test_on_a_regular_graph_constants_stay_constant_unless_sums_are_plain() -> None:
    ring = torch.arange(5)
    edges = torch.stack((torch.cat((ring, ring)), torch.cat(((ring + 1) % 5, (ring - 1) % 5))))
    batch = replace(random_batch(0, 5, 2, 1, static=True), edges=edges, weight=torch.ones(10, dtype=torch.float64))
    table = torch.ones(2, 5, 1, dtype=torch.float64)
    assert torch.allclose(GraphSum()(table, Neighbourhood.of(batch, True)), table)
    assert torch.allclose(GraphSum()(table, Neighbourhood.of(batch, False)), 3 * table)
