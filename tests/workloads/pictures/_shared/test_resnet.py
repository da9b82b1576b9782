from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.space.blueprint import Blueprint, fixed
from stillhouse.workloads.pictures._shared.resnet import Bottleneck, ResNet, ResNetShape
from tests.space.cutting import settled

IMAGE = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def normed(norm: nn.BatchNorm2d, value: Tensor) -> Tensor:
    mean, variance, weight, bias = (part[:, None, None] for part in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (value - mean) / (variance + norm.eps).sqrt() * weight + bias


def test_maps_are_named_and_halved() -> None:
    backbone = ResNet(Blueprint(), ResNetShape(width=4, blocks=(1, 2, 1), stem="small"), fixed(3)).double()
    shapes = {name: tuple(value.shape) for name, value in backbone(IMAGE).items()}
    assert shapes == {"stage1": (2, 4, 16, 16), "stage2": (2, 8, 8, 8), "stage3": (2, 16, 4, 4)}
    assert {name: axis.count for name, axis in backbone.channels.items()} == {"stage1": 4, "stage2": 8, "stage3": 16}


def test_the_large_stem_halves_twice() -> None:
    backbone = ResNet(Blueprint(), ResNetShape(width=4, blocks=(1,)), fixed(3)).double()
    assert backbone.stem(IMAGE).shape == (2, 4, 4, 4)


def test_a_bottleneck_entry_is_its_formula() -> None:
    """relu(norm(conv1x1(x)) + norm(conv1x1(relu(norm(conv3x3(relu(norm(conv1x1(x)))))))))), stride 2 at the 3x3."""
    torch.manual_seed(0)
    shape = ResNetShape(block="bottleneck", width=4, blocks=(1, 1), stem="small")
    backbone = settled(ResNet(Blueprint(), shape, fixed(3)))
    entry = backbone.stages["stage2"].blocks["entry"]
    assert isinstance(entry.branch, Bottleneck)
    _, first, first_norm, _, _, second, second_norm, _, _, third, third_norm = entry.branch.body
    trunk = backbone(IMAGE)["stage1"]
    inner = normed(first_norm, functional.conv2d(trunk, first.weight)).relu()
    inner = normed(second_norm, functional.conv2d(inner, second.weight, stride=2, padding=1)).relu()
    inner = normed(third_norm, functional.conv2d(inner, third.weight))
    projected = normed(entry.projection[1], functional.conv2d(trunk, entry.projection[0].weight, stride=2))
    torch.testing.assert_close(backbone(IMAGE)["stage2"], (projected + inner).relu(), rtol=1e-12, atol=1e-12)
    assert (first.out_channels, second.out_channels, third.out_channels) == (8, 8, 32)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("dilated", [1, 2, 3])
def test_a_dilated_network_is_the_halving_one_at_more_positions(block: str, dilated: int) -> None:
    """The same weights give the same values wherever the halving network has a position at all."""
    block_shape = {"block": block, "stem": "small", "width": 3, "blocks": [2, 2, 1, 2]}
    torch.manual_seed(0)
    halving = settled(ResNet(Blueprint(), ResNetShape.model_validate(block_shape), fixed(3)))
    dense = ResNet(Blueprint(), ResNetShape.model_validate(block_shape | {"dilated": dilated}), fixed(3)).double().eval()
    dense.load_state_dict(halving.state_dict())
    few, many = halving(IMAGE), dense(IMAGE)
    assert many["stage4"].shape[2] == 16 // 2 ** (3 - dilated)
    for name, value in few.items():
        factor = many[name].shape[2] // value.shape[2]
        torch.testing.assert_close(many[name][:, :, ::factor, ::factor], value, rtol=1e-10, atol=1e-10)


def test_the_first_stage_cannot_be_dilated() -> None:
    with pytest.raises(ValidationError, match="dilated should be less than the number of stages: got 2 of 2"):
        ResNetShape(blocks=(1, 1), dilated=2)
