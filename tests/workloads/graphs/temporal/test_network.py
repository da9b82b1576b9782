"""The frame and the head: anchors, what a constant added to a series does, and predictions for whole windows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.temporal import network as network_module
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.network import ACTIVATIONS, FamilySettings, Network
from tests.workloads.graphs.temporal.graphs import joined, random_batch
from tests.workloads.graphs.temporal.networks import CHANNELS, STEPS, WIDTH, network_of, settings_of, sizes_of, some_batch
from tests.workloads.graphs.temporal.peers import ALL, difference

CLASSES = 3


def windowed(**options: object) -> Batch:
    """`last` is the last value of the first channel, as `load` has it."""
    batch = some_batch(**options)
    return replace(batch, last=batch.history[:, -1, :1])


def prediction_of(network: Network, batch: Batch) -> Tensor:
    return network(batch).prediction


@pytest.mark.parametrize("anchor", ["last", "mean", "standard"])
def test_with_a_head_of_zeros_the_prediction_is_the_anchor(anchor: str) -> None:
    batch = windowed()
    network = network_of(settings_of(anchor=anchor), sizes_of(batch))
    network.second.weight.data.zero_()
    network.second.bias.data.zero_()
    first = batch.history[..., :1]
    assert torch.equal(prediction_of(network, batch), first[:, -1] if anchor == "last" else first.mean(1))


def raised(batch: Batch, node: int, constant: float) -> Batch:
    """With a constant added to the whole series of the target of one node."""
    history, last = batch.history.clone(), batch.last.clone()
    history[node, :, :1] += constant
    last[node] += constant
    return replace(batch, history=history, last=last)


@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize("anchor", ["last", "mean", "none"])
def test_a_constant_added_to_a_series_is_added_to_the_prediction_of_a_network_that_does_not_see_levels(anchor: str, blind: bool) -> None:
    batch, node = windowed(), 2
    network = network_of(settings_of(anchor=anchor), sizes_of(batch))
    if blind:
        network.body.nodes.cell.weight_ih_l0.data[:, CHANNELS:] = 0
    expected = prediction_of(network, batch)
    expected[node] += 5.0
    assert (difference(prediction_of(network, raised(batch, node, 5.0)), expected) < 1e-10) == (blind and anchor != "none")


def test_a_series_of_another_level_and_size_is_forecast_at_that_level_and_in_that_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what is added to the standard deviation. The other channels stay."""
    monkeypatch.setattr(network_module, "LEAST_DEVIATION", 0.0)
    batch = windowed()
    network = network_of(settings_of(anchor="standard"), sizes_of(batch))
    history = batch.history.clone()
    history[..., :1] = 7 * history[..., :1] + 3
    assert difference(prediction_of(network, replace(batch, history=history)), 7 * prediction_of(network, batch) + 3) < 1e-10


def test_a_constant_series_stays_with_a_deviation_of_its_own() -> None:
    batch = windowed()
    batch = replace(batch, history=torch.ones_like(batch.history))
    network = network_of(settings_of(anchor="standard", layers=0, join="none"), sizes_of(batch))
    state = ACTIVATIONS["softplus"](network.body.nodes(torch.cat((torch.zeros_like(batch.history[..., :1]), batch.history[..., 1:]), 2)))
    head = network.second(ACTIVATIONS["softplus"](network.first(state)))
    assert difference(prediction_of(network, batch), 1 + network_module.LEAST_DEVIATION * head) < 1e-12


def test_the_frame_of_several_targets() -> None:
    """The first two of three channels are forecast, so that the network sees five."""
    batch = random_batch(4, 6, STEPS, 3)
    batch = replace(batch, target=batch.history[:, 0, :2], last=batch.history[:, -1, :2])
    network = network_of(settings_of(anchor="last", layers=0, join="none"), sizes_of(batch))
    level = batch.last[:, None].expand(-1, STEPS, -1)
    framed = torch.cat((batch.history[..., :2] - level, batch.history[..., 2:], level), 2)
    state = ACTIVATIONS["softplus"](network.body.nodes(framed))
    head = network.second(ACTIVATIONS["softplus"](network.first(state)))
    assert difference(prediction_of(network, batch), batch.last + head) < 1e-12


def test_the_class_of_a_window_is_that_of_the_mean_of_its_nodes() -> None:
    """Windows of different sizes."""
    batches = [random_batch(seed, nodes, STEPS, CHANNELS, classes=CLASSES) for seed, nodes in enumerate((4, 9, 6))]
    batch = joined(batches)
    network = network_of(settings_of(activation="tanh"), sizes_of(batch, CLASSES))
    output = network(batch)
    state = next(reversed(network.body(batch, batch.history).values()))
    ends = [0, 4, 13, 19]
    means = torch.stack([sum(state[start:end].unbind()) / (end - start) for start, end in pairwise(ends)])
    expected = network.second(torch.tanh(network.first(torch.tanh(means))))
    assert output.meaning == "classes"
    assert difference(output.prediction, expected) < 1e-12
    assert difference(output.prediction, torch.cat([prediction_of(network, one) for one in batches])) < 1e-12


def test_graphs_with_classes_have_no_anchor() -> None:
    batch = some_batch(classes=CLASSES)
    with_anchor, without = (network_of(settings_of(anchor=anchor), sizes_of(batch, CLASSES)) for anchor in ("last", "none"))
    assert torch.equal(prediction_of(with_anchor, batch), prediction_of(without, batch))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_features_are_named_states(activation: str) -> None:
    batch = windowed()
    output = network_of(settings_of(activation=activation), sizes_of(batch))(batch)
    shapes = {name: tuple(feature.value.shape) for name, feature in output.features.items()}
    state = (7, WIDTH)
    assert shapes == {"sequence": state, "layer0": state, "layer1": state, "state": (7, 2 * WIDTH), "head": state}
    assert output.meaning == "values"
    assert output.prediction.shape == (7, 1)


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.family)
def test_the_head_of_every_family_that_mixes_graph_and_time_can_be_cut(settings: FamilySettings) -> None:
    batch = some_batch()
    sizes, architecture = sizes_of(batch), Architecture({"head": (1,)})
    network, static = network_of(settings, sizes), network_of(settings, sizes, architecture)
    static.load_state_dict(extract(network, architecture))
    with masked(network, hard_masks(groups_of(network), architecture, batch.history)):
        expected = prediction_of(network, batch)
    assert difference(prediction_of(static, batch), expected) < 1e-10
    assert difference(prediction_of(network, batch), expected) > 1e-6
    mask = torch.full((settings.width,), 0.5, dtype=torch.float64, requires_grad=True)
    with masked(network, {"head": mask}):
        prediction_of(network, batch).square().sum().backward()
    assert mask.grad is not None
    assert (mask.grad != 0).all()
