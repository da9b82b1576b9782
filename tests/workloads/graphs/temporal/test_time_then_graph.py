"""Time-then-graph against its formulas, and what holds for it whatever the weights: symmetries, degenerate cases, gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import softplus

from stillhouse.contracts.errors import UserError
from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.families.time_then_graph import TimeThenGraph, TimeThenGraphSettings
from stillhouse.workloads.graphs.temporal.network import Network
from tests.workloads.graphs.temporal.graphs import as_dynamic, joined, permuted, random_batch, shuffled
from tests.workloads.graphs.temporal.networks import (
    CHANNELS,
    CONVOLUTIONS,
    JOINS,
    KINDS,
    SOME,
    STEPS,
    WIDTH,
    naive_prediction,
    network_of,
    settings_of,
    sizes_of,
    some_batch,
)
from tests.workloads.graphs.temporal.peers import difference

BOUND = 1e-10
some = pytest.mark.parametrize("settings", SOME, ids=lambda each: f"{each.nodes}-{each.edges}-{each.convolution}-{each.join}")
both = pytest.mark.parametrize("static", [False, True])


def network_for(settings: TimeThenGraphSettings, batch: Batch, classes: int = 0) -> Network:
    return network_of(settings, sizes_of(batch, classes))


def body_of(network: Network) -> TimeThenGraph:
    assert isinstance(network.body, TimeThenGraph)
    return network.body


def prediction_of(network: Network, batch: Batch) -> Tensor:
    return network(batch).prediction


@both
@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_it_equals_the_formula(convolution: str, join: str, static: bool) -> None:
    for layers, steps in ((1, 1), (2, 4)):
        batch = random_batch(layers, 7, steps, CHANNELS, static)
        network = network_for(settings_of("gru", "gru", convolution, join, layers=layers), batch)
        assert difference(prediction_of(network, batch), naive_prediction(network, batch)) < BOUND


@pytest.mark.parametrize("nodes", KINDS)
@pytest.mark.parametrize("edges", KINDS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_equals_the_formula_with_every_encoder(nodes: str, edges: str, activation: str) -> None:
    batch = some_batch(3)
    network = network_for(settings_of(nodes, edges, activation=activation), batch)
    assert difference(prediction_of(network, batch), naive_prediction(network, batch)) < BOUND


@some
@both
@pytest.mark.parametrize("classes", [0, 3])
def test_the_numbers_of_nodes_and_the_order_of_edges_do_not_matter(settings: TimeThenGraphSettings, static: bool, classes: int) -> None:
    batch = some_batch(static=static, windows=3, classes=classes)
    network, order = network_for(settings, batch, classes), torch.randperm(21, generator=torch.Generator().manual_seed(1))
    prediction = prediction_of(network, batch)
    assert difference(prediction_of(network, permuted(batch, order)), prediction if classes else prediction[order]) < BOUND
    assert difference(prediction_of(network, shuffled(batch, 2)), prediction) < BOUND
    assert difference(prediction, prediction.roll(1, 0)) > 1e-3


@some
@both
def test_windows_do_not_meet(settings: TimeThenGraphSettings, static: bool) -> None:
    batches = [random_batch(seed, nodes, STEPS, CHANNELS, static) for seed, nodes in enumerate((7, 3, 9))]
    network = network_for(settings, batches[0])
    assert difference(prediction_of(network, joined(batches)), torch.cat([prediction_of(network, batch) for batch in batches])) < BOUND


@some
@both
def test_the_gradient_reaches_every_parameter(settings: TimeThenGraphSettings, static: bool) -> None:
    """But for the bias of attention's keys, which adds the same to all scores."""
    batch = some_batch(static=static)
    network = network_for(settings, batch)
    prediction_of(network, batch).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters() if not name.endswith("key.bias")}
    assert [name for name, value in gradients.items() if value is None or not value.isfinite().all() or not value.any()] == []


@some
def test_it_is_finite_without_edges_and_without_weight(settings: TimeThenGraphSettings) -> None:
    for static in (False, True):
        batch = some_batch(static=static)
        network = network_for(settings, batch)
        for given in (replace(batch, weight=torch.zeros_like(batch.weight)), some_batch(static=static, density=0.0)):
            network.zero_grad()
            prediction = prediction_of(network, given)
            prediction.square().sum().backward()
            assert prediction.isfinite().all()
            assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)


@some
def test_time_has_a_direction_and_every_step_of_an_edge_counts(settings: TimeThenGraphSettings) -> None:
    batch = some_batch()
    network = network_for(settings, batch)
    prediction = prediction_of(network, batch)
    assert difference(prediction_of(network, replace(batch, history=batch.history.flip(1))), prediction) > 1e-5
    assert difference(prediction_of(network, reversed_edges(batch)), prediction) > 1e-5
    step = torch.arange(STEPS).repeat_interleave(torch.tensor(batch.starts).diff())
    for changed in range(STEPS):
        weight = torch.where(step == changed, batch.weight + 1 + torch.arange(len(step)) % 3, batch.weight)
        assert difference(prediction_of(network, replace(batch, weight=weight)), prediction) > 1e-6


def reversed_edges(batch: Batch) -> Batch:
    """The edges of the last step first; the series of nodes as they are."""
    ends = list(zip(batch.starts, batch.starts[1:], strict=False))[::-1]
    event = torch.cat([torch.arange(*bounds) for bounds in ends])
    starts = (0, *torch.tensor([end - start for start, end in ends]).cumsum(0).tolist())
    return replace(batch, weight=batch.weight[event], pair=batch.pair[event], starts=starts)


def convolved(network: Network, batch: Batch, weight: Tensor) -> Tensor:
    """Two layers of torch-geometric's GCN over the states of nodes, loops of the data left out."""
    from torch_geometric.nn import GCNConv

    body, inner = body_of(network), batch.edges[0] != batch.edges[1]
    state = body.nodes(batch.history)
    for layer in body.layers.values():
        reference = GCNConv(WIDTH, WIDTH).double()
        reference.lin.weight.data, reference.bias.data = layer.linear.weight.data, layer.bias.data
        state = reference(softplus(state), batch.edges[:, inner], weight[inner])
    return state


def test_static_edges_make_a_static_graph_network_of_the_states_of_nodes() -> None:
    batch = some_batch(static=True, density=0.5)
    network = network_for(settings_of(join="none"), batch)
    assert difference(network(batch).features["layer1"].value, convolved(network, batch, batch.weight)) < BOUND


def test_one_step_makes_a_static_graph_network() -> None:
    """The edges' encoder is then a map of their weight."""
    batch = random_batch(2, 7, 1, CHANNELS, density=0.5)
    network = network_for(settings_of(join="none"), batch)
    body = body_of(network)
    weight = softplus(body.weigh(body.edges(batch.weight[torch.argsort(batch.pair)][:, None, None])))[:, 0]
    assert difference(network(batch).features["layer1"].value, convolved(network, batch, weight)) < BOUND


def test_without_layers_edges_do_not_matter() -> None:
    batch, bare = some_batch(), replace(some_batch(density=0.0), history=some_batch().history)
    network = network_for(settings_of(layers=0, join="none"), batch)
    assert torch.equal(prediction_of(network, batch), prediction_of(network, bare))
    assert not [name for name, _ in network.named_parameters() if name.startswith(("body.edges", "body.weigh"))]


@pytest.mark.parametrize("join", ["concatenate", "residual"])
def test_nothing_to_join_is_refused(join: str) -> None:
    with pytest.raises(ValidationError, match="join should be none"):
        settings_of(layers=0, join=join)


def test_another_window_than_it_was_made_for_is_refused() -> None:
    batch = some_batch(static=True)
    network = network_for(settings_of(), batch)
    with pytest.raises(UserError, match="made for 4 steps and static edges - got 4 steps and changing edges"):
        network(as_dynamic(batch))
    with pytest.raises(UserError, match="made for 4 steps and static edges - got 3 steps and static edges"):
        network(replace(batch, history=batch.history[:, 1:]))


@both
def test_multiply_adds_of_the_published_form(static: bool) -> None:
    batch = some_batch(static=static)
    nodes, pairs, width = 7, batch.edges.shape[1], WIDTH
    expected = nodes * STEPS * 3 * width * (CHANNELS + width) + 2 * (nodes * width**2 + (pairs + nodes) * width)
    expected += nodes * (2 * width * width + width)
    expected += 0 if static else pairs * (STEPS * 3 * width * (1 + width) + width)
    network = network_for(settings_of(), batch)
    assert total(macs(network, lambda: network(batch))) == expected


def test_multiply_adds_of_another_form() -> None:
    batch = some_batch()
    nodes, pairs, width = 7, batch.edges.shape[1], WIDTH
    sequence = nodes * STEPS * (CHANNELS * width + 2 * width**2 + 2 * width) + nodes * width**2
    layer = pairs * (width**2 + width) + nodes * 2 * width**2
    expected = sequence + pairs * 2 * STEPS * width + 2 * layer + nodes * (width**2 + width)
    network = network_for(settings_of("attention", "series", "gine", "residual"), batch)
    assert total(macs(network, lambda: network(batch))) == expected
