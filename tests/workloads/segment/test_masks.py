"""What a search may cut out of the network: masks, the network that is cut out, its cost, and gradients into soft masks."""

from __future__ import annotations

import pytest
import torch

from stages.core.space import Architecture, extract, full, groups_of, masked
from tests.core.cutting import check_answers, check_costs, pair, random_architecture, settled
from tests.workloads.segment.raws import IMAGE, NETWORKS, SIZES, builder

every_network = pytest.mark.parametrize("network", NETWORKS)


@every_network
def test_a_masked_network_equals_the_cut_one(network: str) -> None:
    build, rng = builder(NETWORKS[network]), torch.Generator().manual_seed(0)
    groups = groups_of(build(None))
    for _ in range(4):
        architecture = random_architecture(groups, rng)
        both = pair(build, architecture)
        check_answers(both, IMAGE)
        check_costs(both, architecture, IMAGE)


@every_network
def test_every_removable_block_can_be_removed_alone(network: str) -> None:
    build = builder(NETWORKS[network])
    groups = groups_of(build(None))
    depths = [group for group in groups if group.kind == "depth"]
    assert len(depths) == 3
    for group in depths:
        for index in range(group.size):
            left = tuple(other for other in range(group.size) if other != index)
            architecture = Architecture({**full(groups).kept, group.name: left})
            both = pair(build, architecture)
            check_answers(both, IMAGE)
            check_costs(both, architecture, IMAGE)


@every_network
def test_dropped_channels_do_not_disturb_the_statistics_of_kept_ones(network: str) -> None:
    build, rng = builder(NETWORKS[network]), torch.Generator().manual_seed(1)
    architecture = random_architecture(groups_of(build(None)), rng)
    both = pair(build, architecture)
    both.full.train(), both.static.train()
    check_answers(both, IMAGE)
    for name, value in extract(both.full, architecture).items():
        torch.testing.assert_close(both.static.state_dict()[name], value, rtol=1e-9, atol=1e-9)


@every_network
def test_soft_masks_have_a_gradient(network: str) -> None:
    torch.manual_seed(0)
    model, rng = settled(builder(NETWORKS[network])(None)), torch.Generator().manual_seed(0)
    masks = {group.name: 0.5 + 0.5 * torch.rand(group.size, generator=rng, dtype=torch.float64) for group in groups_of(model)}
    for mask in masks.values():
        mask.requires_grad_()
    with masked(model, masks):
        loss = model(IMAGE).prediction.square().sum()
    gradients = dict(zip(masks, torch.autograd.grad(loss, list(masks.values())), strict=True))
    assert [name for name, value in gradients.items() if not value.isfinite().all() or not value.any()] == []


@every_network
def test_every_channel_is_in_a_group(network: str) -> None:
    """With one element everywhere nothing else is left but kernels, the fixed ends and what the pyramid joins."""
    build = builder(NETWORKS[network])
    groups = groups_of(build(None))
    one = build(Architecture({group.name: tuple(range(group.minimum)) for group in groups}))
    ends = {"backbone.stem.0.weight": {SIZES["channels"]}, "classify.1.weight": {SIZES["classes"]}, "classify.1.bias": {SIZES["classes"]}}
    ends["pyramid.body.1.weight"] = {1 + len(NETWORKS[network]["bins"])}
    for name, value in one.state_dict().items():
        assert set(value.shape[:2]) <= {1} | ends.get(name, set()), name
