"""Convolutions and norms of images with searched channels: what all families of image networks are built from.

Gates belong before every layer that mixes channels. A depthwise convolution and a norm keep channels apart, so they need none,
and a soft mask before a norm would be undone by it.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from stillhouse.space.blueprint import Axis, declare, fixed


class Convolution(nn.Conv2d):
    """nn.Conv2d that knows how many multiply-adds it does for one pair of input and output channels."""

    def __init__(
        self, inside: int, outside: int, kernel: int, stride: int, margin: int, *, dilation: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(inside, outside, kernel, stride, margin, dilation, groups, bias)
        self.margin = margin

    def rows(self, image: Tensor) -> int:
        """(batch, channel, height, width) -> kernel elements times output positions times pictures."""
        reach = [dilation * (kernel - 1) for dilation, kernel in zip(self.dilation, self.kernel_size, strict=True)]
        sides = zip(image.shape[2:], reach, self.stride, strict=True)
        positions = [(size + 2 * self.margin - reach - 1) // stride + 1 for size, reach, stride in sides]
        return image.shape[0] * math.prod(positions) * math.prod(self.kernel_size)


def convolution(
    inside: Axis, outside: Axis, kernel: int = 1, *, stride: int = 1, padding: int | None = None, dilation: int = 1, bias: bool = False
) -> Convolution:
    """A convolution over all channels; padded so that stride 1 keeps the size, unless `padding` says otherwise."""
    padded = dilation * (kernel // 2) if padding is None else padding
    layer = Convolution(inside.count, outside.count, kernel, stride, padded, dilation=dilation, bias=bias)
    _initialise(layer, kernel * kernel * outside.count)
    axes = {"weight": (outside, inside, fixed(kernel), fixed(kernel))} | ({"bias": (outside,)} if bias else {})
    return declare(layer, axes, cost=(outside, inside))


def depthwise(axis: Axis, kernel: int = 3, *, stride: int = 1) -> Convolution:
    """A convolution of each channel with itself alone: its channels are those of its input."""
    layer = Convolution(axis.count, axis.count, kernel, stride, kernel // 2, groups=axis.count)
    _initialise(layer, kernel * kernel)
    return declare(layer, {"weight": (axis, fixed(1), fixed(kernel), fixed(kernel))}, cost=(axis,))


def image_norm(axis: Axis) -> nn.BatchNorm2d:
    """nn.BatchNorm2d: a channel's statistics are its own, so a dropped one cannot disturb the others."""
    names = ("weight", "bias", "running_mean", "running_var")
    return declare(nn.BatchNorm2d(axis.count), dict.fromkeys(names, (axis,)))


def _initialise(layer: Convolution, fan_out: int) -> None:
    """So that a gradient keeps its variance through a layer and a ReLU (arXiv 1502.01852, eq. 14)."""
    nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
