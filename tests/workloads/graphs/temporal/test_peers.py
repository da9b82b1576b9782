"""What holds for every family that mixes graph and time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from stillhouse.space.blueprint import groups_of
from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.network import FamilySettings, Network
from tests.workloads.graphs.temporal.graphs import as_dynamic, joined, permuted, random_batch, shuffled
from tests.workloads.graphs.temporal.peers import ALL, BODIES, CHANNELS, body_of, difference, read_out

pytestmark = pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.family)
BOUND = 1e-10


def some_batch(seed: int = 1, **options: object) -> Batch:
    """Seven nodes, four steps."""
    return random_batch(seed, 7, 4, CHANNELS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("windows", [1, 3])
def test_it_is_equivariant_to_the_numbers_of_nodes(settings: FamilySettings, static: bool, windows: int) -> None:
    body, batch = body_of(settings), some_batch(static=static, windows=windows)
    order = torch.randperm(7 * windows, generator=torch.Generator().manual_seed(1))
    output = read_out(body, batch)
    assert difference(read_out(body, permuted(batch, order)), output[order]) < BOUND
    assert difference(output, output[order]) > 1e-3


@pytest.mark.parametrize("static", [False, True])
def test_the_order_of_edges_does_not_matter(settings: FamilySettings, static: bool) -> None:
    body, batch = body_of(settings), some_batch(static=static)
    assert difference(read_out(body, shuffled(batch, 1)), read_out(body, batch)) < BOUND


def test_windows_do_not_meet(settings: FamilySettings) -> None:
    body = body_of(settings)
    batches = [some_batch(), random_batch(2, 3, 4, CHANNELS), random_batch(3, 9, 4, CHANNELS)]
    assert difference(read_out(body, joined(batches)), torch.cat([read_out(body, batch) for batch in batches])) < BOUND


def test_static_edges_are_edges_at_every_step(settings: FamilySettings) -> None:
    body, batch = body_of(settings), some_batch(static=True, windows=2)
    assert difference(read_out(body, batch), read_out(body, as_dynamic(batch))) < BOUND
    costs = [total(macs(body, lambda given=given: body(given, given.history))) for given in (batch, as_dynamic(batch))]
    assert costs[0] == costs[1] > 0


def test_the_weights_of_the_edges_of_every_step_matter(settings: FamilySettings) -> None:
    """But for the form whose own weights see no data: there the last step's alone do."""
    body, batch = body_of(settings), some_batch()
    output = read_out(body, batch)
    other = batch.weight * (1 + torch.arange(len(batch.weight)) % 5)
    step = torch.arange(batch.steps).repeat_interleave(torch.tensor(batch.starts).diff())
    for changed in range(batch.steps):
        weight = torch.where(step == changed, other, batch.weight)
        seen = changed == batch.steps - 1 or settings.family != "evolvegcn_o"  # type: ignore[attr-defined]
        assert (difference(read_out(body, replace(batch, weight=weight)), output) > 1e-6) == seen


def test_it_is_finite_without_edges_and_without_weight(settings: FamilySettings) -> None:
    body, batch = body_of(settings), some_batch()
    silent = replace(batch, weight=torch.zeros_like(batch.weight))
    bare = [some_batch(density=0.0, static=static) for static in (False, True)]
    short = random_batch(0, 1, 1, CHANNELS)
    for given in (batch, silent, *bare, short):
        body.zero_grad()
        output = read_out(body, given)
        output.square().sum().backward()
        assert output.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in body.parameters() if parameter.grad is not None)


def test_the_gradient_reaches_every_parameter(settings: FamilySettings) -> None:
    body, batch = body_of(settings), some_batch()
    read_out(body, batch).square().sum().backward()
    assert [name for name, parameter in body.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_it_is_the_body_of_a_network(settings: FamilySettings) -> None:
    batch = some_batch(dtype=torch.float32)
    sizes = {"channels": CHANNELS, "classes": 0, "outputs": 1}
    family = BODIES[settings.family]  # type: ignore[attr-defined]
    network = Network(settings, sizes, lambda blueprint, channels: family(settings, blueprint, channels), None)  # type: ignore[call-arg]
    output = network(batch)
    assert output.prediction.shape == (7, 1)
    assert all(feature.value.shape == (7, settings.width) for feature in output.features.values())
    assert [group.name for group in groups_of(network)] == ["head"]
