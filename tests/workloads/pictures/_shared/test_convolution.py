from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.space import cost
from stillhouse.space.blueprint import Axis, fixed
from stillhouse.workloads.pictures._shared.convolution import convolution, depthwise, image_norm

IMAGE = torch.randn(2, 6, 9, 7, generator=torch.Generator().manual_seed(0))
LARGE = torch.randn(2, 6, 17, 14, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", [1, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [None, 0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_multiply_adds_are_those_of_an_independent_counter(kernel: int, stride: int, padding: int | None, dilation: int) -> None:
    layer, image = convolution(fixed(6), fixed(5), kernel, stride=stride, padding=padding, dilation=dilation, bias=True), LARGE
    with FlopCounterMode(display=False) as counter:
        layer(image)
    assert cost.total(cost.macs(layer, lambda: layer(image))) == counter.get_total_flops() / 2


@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_costs_its_channels_and_not_their_square(stride: int) -> None:
    layer = depthwise(Axis((("inner", 6),)), 5, stride=stride)
    height, width = layer(IMAGE).shape[2:]
    macs = cost.macs(layer, lambda: layer(IMAGE))
    assert cost.total(macs) == 2 * 6 * 25 * height * width
    assert float(cost.evaluate(macs, {"inner": torch.tensor(2.0)})) == 2 * 2 * 25 * height * width
    assert float(cost.evaluate(cost.parameters(layer), {"inner": torch.tensor(2.0)})) == 2 * 25


def test_a_depthwise_convolution_keeps_channels_apart() -> None:
    layer = depthwise(fixed(6), 3)
    each = [functional.conv2d(IMAGE[:, index : index + 1], layer.weight[index : index + 1], padding=1) for index in range(6)]
    torch.testing.assert_close(layer(IMAGE), torch.cat(each, 1))


def test_stride_one_keeps_the_size() -> None:
    assert convolution(fixed(6), fixed(2), 5)(IMAGE).shape == (2, 2, 9, 7)
    assert convolution(fixed(6), fixed(2), 5, dilation=3)(IMAGE).shape == (2, 2, 9, 7)


def test_a_fresh_layer_keeps_the_variance_of_a_gradient() -> None:
    torch.manual_seed(0)
    assert convolution(fixed(32), fixed(64), 3).weight.square().mean().item() == pytest.approx(2 / (9 * 64), rel=0.05)
    assert depthwise(fixed(512), 3).weight.square().mean().item() == pytest.approx(2 / 9, rel=0.1)


def test_statistics_of_a_channel_are_its_own() -> None:
    norm, other = image_norm(fixed(6)).train(), IMAGE.clone()
    other[:, 2] = 1e6
    torch.testing.assert_close(norm(IMAGE)[:, [0, 1, 3, 4, 5]], norm(other)[:, [0, 1, 3, 4, 5]], rtol=0, atol=0)
