from __future__ import annotations

import torch
from torch.nn import functional

from stillhouse.space.blueprint import Blueprint, fixed
from stillhouse.workloads.pictures._shared.mobilenet import Inverted, InvertedStage, MobileNet, MobileNetShape, SqueezeExcite
from tests.space.cutting import settled
from tests.workloads.pictures._shared.test_resnet import normed

IMAGE = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SHAPE = MobileNetShape(
    stem=4,
    squeeze=0.5,
    activation="silu",
    stages=(InvertedStage(width=4, blocks=1, expansion=1), InvertedStage(width=6, blocks=2, expansion=3, stride=2, kernel=5)),
)


def test_maps_groups_and_widths() -> None:
    blueprint = Blueprint()
    backbone = MobileNet(blueprint, SHAPE, fixed(3)).double()
    assert {name: tuple(value.shape) for name, value in backbone(IMAGE).items()} == {"stage1": (2, 4, 8, 8), "stage2": (2, 6, 4, 4)}
    assert {name: group.size for name, group in blueprint.groups.items()} == {
        "stem": 4,
        "stage1.blocks": 1,
        "stage1.block0.squeeze": 2,
        "stage2": 6,
        "stage2.entry.hidden": 12,
        "stage2.entry.squeeze": 2,
        "stage2.blocks": 1,
        "stage2.block0.hidden": 18,
        "stage2.block0.squeeze": 3,
    }


def test_an_inverted_block_is_its_formula() -> None:
    torch.manual_seed(0)
    backbone = settled(MobileNet(Blueprint(), SHAPE, fixed(3)))
    entry, trunk = backbone.stages["stage2"].blocks["entry"], backbone(IMAGE)["stage1"]
    assert isinstance(entry, Inverted)
    _, widen, widen_norm, _, apart, apart_norm, _, squeeze, _, narrow, narrow_norm = entry.body
    assert isinstance(squeeze, SqueezeExcite)
    value = functional.silu(normed(widen_norm, functional.conv2d(trunk, widen.weight)))
    value = functional.silu(normed(apart_norm, functional.conv2d(value, apart.weight, stride=2, padding=2, groups=12)))
    _, down, _, _, up, _ = squeeze.body
    weight = torch.sigmoid(functional.silu(value.mean((2, 3)) @ down.weight.T + down.bias) @ up.weight.T + up.bias)
    value = normed(narrow_norm, functional.conv2d(value * weight[:, :, None, None], narrow.weight))
    torch.testing.assert_close(entry(trunk), value, rtol=1e-12, atol=1e-12)
