"""What a search may cut out of the network: masks, the network that is cut out, its cost, and gradients into soft masks."""

from __future__ import annotations

import pytest

from stillhouse.space.blueprint import Architecture, groups_of
from tests.space.cutting import check_cuts, check_gradients, check_removals, check_statistics
from tests.workloads.pictures.segment.raws import IMAGE, NETWORKS, SIZES, builder

every_network = pytest.mark.parametrize("network", NETWORKS)


@every_network
def test_a_masked_network_equals_the_cut_one(network: str) -> None:
    check_cuts(builder(NETWORKS[network]), IMAGE)


@every_network
def test_every_removable_block_can_be_removed_alone(network: str) -> None:
    assert len([group for group in groups_of(builder(NETWORKS[network])(None)) if group.kind == "depth"]) == 3
    check_removals(builder(NETWORKS[network]), IMAGE)


@every_network
def test_dropped_channels_do_not_disturb_the_statistics_of_kept_ones(network: str) -> None:
    check_statistics(builder(NETWORKS[network]), IMAGE)


@every_network
def test_soft_masks_have_a_gradient(network: str) -> None:
    check_gradients(builder(NETWORKS[network]), IMAGE)


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
