"""What a search may cut out of every family: masks, the network that is cut out, its cost, and gradients into soft masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, groups_of
from tests.space.cutting import Build, check_cuts, check_gradients, check_removals, check_statistics
from tests.workloads.pictures.detect.families import FAMILIES, IMAGE, builder

every_family = pytest.mark.parametrize("family", FAMILIES)


class Everything(nn.Module):
    """All that a detector says, in one row per picture."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.blueprint = model, model.blueprint

    def forward(self, image: Tensor) -> Tensor:
        output = self.model(image)
        parts = (output.prediction, output.box, *([output.centre] if output.centre is not None else []))
        return torch.cat([part.flatten(1) for part in parts], 1)


def everything(family: str) -> Build:
    build = builder(FAMILIES[family])
    return lambda architecture: Everything(build(architecture))


@every_family
def test_a_masked_network_equals_the_cut_one(family: str) -> None:
    check_cuts(everything(family), IMAGE)


@every_family
def test_every_removable_block_can_be_removed_alone(family: str) -> None:
    assert {"head.class.layers", "head.box.layers"} < {group.name for group in groups_of(everything(family)(None)) if group.kind == "depth"}
    check_removals(everything(family), IMAGE)


@every_family
def test_dropped_channels_do_not_disturb_the_statistics_of_kept_ones(family: str) -> None:
    check_statistics(everything(family), IMAGE)


@every_family
def test_soft_masks_have_a_gradient(family: str) -> None:
    check_gradients(everything(family), IMAGE)


@every_family
def test_every_channel_is_in_a_group(family: str) -> None:
    """With one element everywhere nothing else is left: each tensor has only sides of one, of pixels and of the fixed ends."""
    groups = groups_of(builder(FAMILIES[family])(None))
    one = builder(FAMILIES[family])(Architecture({group.name: tuple(range(group.minimum)) for group in groups}))
    for name, value in one.state_dict().items():
        channels = value.shape[:2] if value.dim() == 4 else value.shape
        assert set(channels) <= {1} or "_end." in name or name == "backbone.stem.0.weight", name


def test_the_groups_of_a_detector() -> None:
    """One for all maps that are added, one for all levels, and one for each tower with its removable layers."""
    groups = {group.name: group.size for group in groups_of(builder(FAMILIES["retinanet"])(None)) if not group.name.startswith("st")}
    assert groups == {
        "pyramid.lateral": 5,
        "pyramid.output": 5,
        "head.class": 4,
        "head.class.layers": 2,
        "head.box": 4,
        "head.box.layers": 2,
    }
