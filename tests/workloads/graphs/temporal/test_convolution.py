"""Graph convolutions against those of torch-geometric with the same weights, and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Blueprint, fixed
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.convolution import Gine, Weighted, normalised
from tests.workloads.graphs.temporal.graphs import random_batch
from tests.workloads.graphs.temporal.networks import randomised
from tests.workloads.graphs.temporal.peers import difference

NODES = 9


def graph() -> Batch:
    """Directed edges with random weights, self loops among them."""
    batch = random_batch(0, NODES, 1, 4, static=True, density=0.6)
    assert (batch.edges[0] == batch.edges[1]).any()
    return batch


def without_loops(batch: Batch) -> tuple[Tensor, Tensor]:
    inner = batch.edges[0] != batch.edges[1]
    return batch.edges[:, inner], batch.weight[inner]


def weighted() -> Weighted:
    """From 4 channels to 3."""
    return randomised(Weighted(Blueprint(), fixed(4), fixed(3)).double())


@pytest.mark.parametrize("normalise", [True, False])
def test_it_equals_gcn_of_torch_geometric(normalise: bool) -> None:
    """Loops of the data left out, those of weight 1 put in, which is what ours does with all of them."""
    from torch_geometric.nn import GCNConv

    batch, layer, reference = graph(), weighted(), GCNConv(4, 3, normalize=normalise).double()
    reference.lin.weight.data, reference.bias.data = layer.linear.weight.data, layer.bias.data
    value = batch.history[:, 0]
    edges, weight = normalised(batch.edges, batch.weight, NODES) if normalise else (batch.edges, batch.weight)
    expected = reference(value, *(without_loops(batch) if normalise else (batch.edges, batch.weight)))
    assert difference(layer(value, edges, weight), expected) < 1e-12


@pytest.mark.parametrize("eps", [0.0, 0.75])
def test_it_equals_gine_of_torch_geometric(eps: float) -> None:
    from torch_geometric.nn import GINEConv

    batch, layer = graph(), randomised(Gine(Blueprint(), "layer", (fixed(4), fixed(3), fixed(2)), 5).double())
    layer.eps.data.fill_(eps)
    reference = GINEConv(nn.Sequential(layer.first, nn.ReLU(), layer.second), eps, edge_dim=2).double()
    reference.lin.weight.data, reference.lin.bias.data = layer.lift.weight.data, layer.lift.bias.data
    value, state = (
        batch.history[:, 0],
        torch.randn(batch.edges.shape[1], 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    )
    assert difference(layer(value, batch.edges, state), reference(value, batch.edges, state)) < 1e-12


def test_normalisation_by_hand() -> None:
    """0 -> 1 with 3, 1 -> 1 with 8 (replaced by 1), 2 -> 1 with 0 and 1 -> 0 with 1: weighted in-degrees 2, 4 and 1."""
    edges, weight = normalised(torch.tensor([[0, 1, 2, 1], [1, 1, 1, 0]]), torch.tensor([3.0, 8.0, 0.0, 1.0]), 3)
    assert edges.T.tolist() == [[0, 1], [1, 1], [2, 1], [1, 0], [0, 0], [1, 1], [2, 2]]
    assert weight.tolist() == pytest.approx([3 / 8**0.5, 0, 0, 1 / 8**0.5, 1 / 2, 1 / 4, 1])


def test_on_regular_graphs_constants_stay_constant_unless_sums_are_plain() -> None:
    ring = torch.arange(5)
    edges, ones = torch.stack((torch.cat((ring, ring)), torch.cat(((ring + 1) % 5, (ring - 1) % 5)))), torch.ones(10)
    layer = Weighted(Blueprint(), fixed(1), fixed(1))
    layer.linear.weight.data.fill_(1.0)
    assert torch.allclose(layer(torch.ones(5, 1), *normalised(edges, ones, 5)), torch.ones(5, 1))
    assert torch.allclose(layer(torch.ones(5, 1), edges, ones), 2 * torch.ones(5, 1))


@pytest.mark.parametrize("weight", [0.0, 1e-30, 1e30])
def test_extreme_weights_stay_finite(weight: float) -> None:
    edges = torch.tensor([[0, 1, 1], [1, 0, 2]])
    given = torch.full((3,), weight, requires_grad=True)
    _, inner = normalised(edges, given, 4)
    inner.sum().backward()
    assert inner.isfinite().all()
    assert given.grad is not None
    assert given.grad.isfinite().all()
