"""What a search may cut out of every family: masks, the network that is cut out, its cost, and gradients into soft masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stages.core.space import Architecture, extract, full, groups_of, masked
from tests.core.cutting import Build, check_answers, check_costs, pair, random_architecture, settled
from tests.workloads.detect.families import FAMILIES, IMAGE, builder

CUTS = 4
every_family = pytest.mark.parametrize("family", FAMILIES)


class Everything(nn.Module):
    """All that a detector says, in one row a picture."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.blueprint = model, model.blueprint

    def forward(self, image: Tensor) -> Tensor:
        answer = self.model(image)
        parts = (answer.prediction, answer.box, *([answer.centre] if answer.centre is not None else []))
        return torch.cat([part.flatten(1) for part in parts], 1)


def everything(family: str) -> Build:
    build = builder(FAMILIES[family])
    return lambda architecture: Everything(build(architecture))


@every_family
def test_a_masked_network_equals_the_cut_one(family: str) -> None:
    build, rng = everything(family), torch.Generator().manual_seed(0)
    groups = groups_of(build(None))
    for _ in range(CUTS):
        architecture = random_architecture(groups, rng)
        both = pair(build, architecture)
        check_answers(both, IMAGE)
        check_costs(both, architecture, IMAGE)


@every_family
def test_every_removable_block_can_be_removed_alone(family: str) -> None:
    build = everything(family)
    groups = groups_of(build(None))
    depths = [group for group in groups if group.kind == "depth"]
    assert {"head.class.layers", "head.box.layers"} < {group.name for group in depths}
    for group in depths:
        for index in range(group.size):
            left = tuple(other for other in range(group.size) if other != index)
            architecture = Architecture({**full(groups).kept, group.name: left})
            both = pair(build, architecture)
            check_answers(both, IMAGE)
            check_costs(both, architecture, IMAGE)


@every_family
def test_dropped_channels_do_not_disturb_the_statistics_of_kept_ones(family: str) -> None:
    """In training mode too, and what the norms of the static network would have learned is what the supernet's have."""
    build, rng = everything(family), torch.Generator().manual_seed(1)
    architecture = random_architecture(groups_of(build(None)), rng)
    both = pair(build, architecture)
    both.full.train(), both.static.train()
    check_answers(both, IMAGE)
    for name, value in extract(both.full, architecture).items():
        torch.testing.assert_close(both.static.state_dict()[name], value, rtol=1e-9, atol=1e-9)


@every_family
def test_soft_masks_have_a_gradient(family: str) -> None:
    torch.manual_seed(0)
    model, rng = settled(everything(family)(None)), torch.Generator().manual_seed(0)
    masks = {group.name: 0.5 + 0.5 * torch.rand(group.size, generator=rng, dtype=torch.float64) for group in groups_of(model)}
    for mask in masks.values():
        mask.requires_grad_()
    with masked(model, masks):
        loss = model(IMAGE).square().sum()
    gradients = dict(zip(masks, torch.autograd.grad(loss, list(masks.values())), strict=True))
    assert [name for name, value in gradients.items() if not value.isfinite().all() or not value.any()] == []


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
