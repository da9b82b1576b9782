"""What a search may cut out of time-then-graph: masks, the network that is cut out, its cost, and gradients into soft masks."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from stillhouse.space.blueprint import Architecture, full, groups_of, hard_masks, masked
from stillhouse.space.cost import counts_of, evaluate, macs, parameters, total
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.families.time_then_graph import TimeThenGraphSettings
from tests.space.cutting import random_architecture
from tests.workloads.graphs.temporal.networks import CONVOLUTIONS, JOINS, KINDS, SOME, network_of, settings_of, sizes_of, some_batch
from tests.workloads.graphs.temporal.peers import difference

CUTS = 2
"""Random architectures of each form."""


def forms(nodes: str, edges: str) -> list[TimeThenGraphSettings]:
    """Every convolution with every join, three layers where they can be removed; and nodes by themselves."""
    layered = [
        settings_of(nodes, edges, convolution, join, layers=3 if join == "residual" else 2)
        for convolution, join in product(CONVOLUTIONS, JOINS)
    ]
    return [*layered, settings_of(nodes, edges, join="none", layers=0)]


def check(settings: TimeThenGraphSettings, batch: Batch, architecture: Architecture, classes: int = 0) -> None:
    """The masked network predicts and costs what the one that is cut out does."""
    sizes = sizes_of(batch, classes)
    network, static = network_of(settings, sizes), network_of(settings, sizes, architecture)
    static.load_state_dict(extract(network, architecture))
    groups = groups_of(network)
    with masked(network, hard_masks(groups, architecture, batch.history)), torch.no_grad():
        expected = network(batch).prediction
    assert difference(static(batch).prediction, expected) < 1e-10, (settings, architecture)
    counts = counts_of(groups, architecture)
    assert evaluate(macs(network, lambda: network(batch)), counts) == total(macs(static, lambda: static(batch)))
    assert evaluate(parameters(network), counts) == sum(value.numel() for value in static.parameters())


@pytest.mark.parametrize(
    ("nodes", "edges", "static"), [*product(KINDS, KINDS, [False]), *((nodes, "gru", True) for nodes in KINDS)]
)  # static edges have no encoder
def test_a_masked_network_equals_the_cut_one(nodes: str, edges: str, static: bool) -> None:
    rng, batch = torch.Generator().manual_seed(KINDS.index(nodes) * 4 + KINDS.index(edges)), some_batch(static=static)
    for settings in forms(nodes, edges):
        groups = groups_of(network_of(settings, sizes_of(batch)))
        for _ in range(CUTS):
            check(settings, batch, random_architecture(groups, rng))


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("kept", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_every_layer_that_adds_can_be_removed(convolution: str, kept: tuple[int, ...]) -> None:
    settings, batch = settings_of(convolution=convolution, join="residual", layers=3), some_batch()
    groups = groups_of(network_of(settings, sizes_of(batch)))
    assert [group.name for group in groups if group.kind == "depth"] == ["layers"]
    check(settings, batch, Architecture({**full(groups).kept, "layers": kept}))


@pytest.mark.parametrize("settings", SOME, ids=lambda each: f"{each.convolution}-{each.join}")
def test_graphs_with_classes_are_cut_alike(settings: TimeThenGraphSettings) -> None:
    batch, rng = some_batch(windows=2, classes=3), torch.Generator().manual_seed(5)
    groups = groups_of(network_of(settings, sizes_of(batch, 3)))
    check(settings, batch, random_architecture(groups, rng), classes=3)


@pytest.mark.parametrize("settings", SOME, ids=lambda each: f"{each.convolution}-{each.join}")
def test_every_channel_is_in_a_group(settings: TimeThenGraphSettings) -> None:
    """So that with one channel everywhere the network is the same as one that was never wider."""
    batch = some_batch()
    network = network_of(settings, sizes_of(batch))
    one = Architecture({group.name: tuple(range(group.minimum)) for group in groups_of(network)})
    cut = network_of(settings, sizes_of(batch), one)
    layers = {"layers": 1} if settings.join in ("residual", "weighted") else {}
    small = network_of(settings.model_copy(update={"width": 1} | layers), sizes_of(batch))
    assert {name: value.shape for name, value in cut.state_dict().items()} == {
        name: value.shape for name, value in small.state_dict().items()
    }


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("settings", SOME, ids=lambda each: f"{each.nodes}-{each.edges}-{each.convolution}-{each.join}")
def test_soft_masks_have_a_gradient(settings: TimeThenGraphSettings, static: bool) -> None:
    settings = settings.model_copy(update={"width": 8})  # so that in every layer with relu a channel is awake
    batch, rng = some_batch(static=static), torch.Generator().manual_seed(3)
    network = network_of(settings, sizes_of(batch))
    masks: dict[str, Tensor] = {
        group.name: torch.rand(group.size, generator=rng, dtype=torch.float64).requires_grad_() for group in groups_of(network)
    }
    with masked(network, masks):
        output = network(batch)
    gradients = dict(zip(masks, torch.autograd.grad(output.prediction.square().sum(), list(masks.values())), strict=True))
    assert [name for name, value in gradients.items() if not value.isfinite().all() or not value.any()] == []
    for name, mask in masks.items():
        direction = torch.randn(mask.shape, generator=rng, dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            with masked(network, masks | {name: (mask + sign * 1e-6 * direction).detach()}), torch.no_grad():
                ends.append(network(batch).prediction.square().sum())
        slope, expected = (ends[0] - ends[1]) / 2e-6, (gradients[name] * direction).sum()
        assert (slope - expected).abs() < 1e-6 * (1 + expected.abs()), name
