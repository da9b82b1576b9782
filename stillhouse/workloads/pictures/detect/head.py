"""Towers of convolutions that all levels of a pyramid go through: the weights are shared, the norms are each level's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Axis, Blueprint, fixed
from stillhouse.workloads.pictures._shared.convolution import Convolution, convolution, image_norm

if TYPE_CHECKING:
    from jaxtyping import Float

PRIOR = 0.01
"""The probability that a fresh network gives to each class at each place (arXiv 1708.02002, section 4.1)."""


class HeadShape(Settings):
    """The shape of both towers, the one for classes and the one for boxes."""

    width: int = Field(256, gt=0)
    layers: int = Field(4, gt=0)


class Layer(nn.Module):
    """A convolution of three by three, the norm of the level, a ReLU."""

    def __init__(self, blueprint: Blueprint, inside: Axis, outside: Axis, levels: Iterable[str]) -> None:
        super().__init__()
        self.gate, self.mix = blueprint.gate(inside, 1), convolution(inside, outside, 3)
        self.norms = nn.ModuleDict({level: image_norm(outside) for level in levels})

    def forward(self, value: Tensor, level: str) -> Tensor:
        """(batch, channel, height, width)"""
        return self.norms[level](self.mix(self.gate(value))).relu()


class Replaceable(nn.Module):
    """f(x) with mask 1, x with mask 0: the layer is no residual one, and may be left out all the same."""

    def __init__(self, layer: Layer, gate: nn.Module) -> None:
        super().__init__()
        self.layer, self.gate = layer, gate

    def forward(self, value: Tensor, level: str) -> Tensor:
        """(batch, channel, height, width)"""
        return value + self.gate(self.layer(value, level) - value)


class Tower(nn.Module):
    """Layers in a row. Groups: `name`, the channels of all of them, and `name.layers`, those behind the first one."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, shape: HeadShape, levels: Iterable[str]) -> None:
        super().__init__()
        levels = list(levels)
        self.axis = blueprint.width(name, shape.width)
        self.layers = nn.ModuleDict({"entry": Layer(blueprint, inside, self.axis, levels)})
        for index in blueprint.depth(f"{name}.layers", shape.layers - 1) if shape.layers > 1 else ():
            layer = Replaceable(Layer(blueprint, self.axis, self.axis, levels), blueprint.depth_gate(f"{name}.layers", index))
            self.layers[str(index)] = blueprint.block(f"{name}.layers", index, layer)

    def forward(self, value: Tensor, level: str) -> Tensor:
        """(batch, channel, height, width)"""
        for layer in self.layers.values():
            value = layer(value, level)
        return value


def end(blueprint: Blueprint, inside: Axis, outputs: int, prior: float | None = None) -> nn.Sequential:
    """The convolution that speaks: it begins near nought, or with the probability `prior`."""
    layer: Convolution = convolution(inside, fixed(outputs), 3, bias=True)
    nn.init.normal_(layer.weight, std=0.01)
    if prior is not None and layer.bias is not None:
        nn.init.constant_(layer.bias, -math.log((1 - prior) / prior))
    return nn.Sequential(blueprint.gate(inside, 1), layer)


def rows(value: Float[Tensor, "batch channel height width"], numbers: int) -> Float[Tensor, "batch places {numbers}"]:
    """(batch, a * numbers, height, width) -> (batch, height * width * a, numbers)"""
    batch, _, height, width = value.shape
    return value.view(batch, -1, numbers, height, width).permute(0, 3, 4, 1, 2).reshape(batch, -1, numbers)
