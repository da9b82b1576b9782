"""Residual networks (arXiv 1512.03385) without a head: maps of one stage after another, with searched widths and depths."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from stages.core.convolution import convolution, image_norm
from stages.core.kinds import Settings
from stages.core.residual import Builders, Stage, StageShape, full_count
from stages.core.space import Axis, Blueprint

EXPANSION = 4
"""Of a bottleneck's output beside its inner width."""


class ResNetShape(Settings):
    """ResNet-50 is `block: bottleneck, blocks: [3, 4, 6, 3]`; the 20 layers for CIFAR `stem: small, width: 16, blocks: [3, 3, 3]`."""

    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["small", "large"] = "large"
    """`large` sees seven by seven pixels and halves the size twice (ImageNet), `small` sees three by three and keeps it (CIFAR)."""
    width: int = Field(64, gt=0)
    """Of the stem and inside the first stage; it doubles from stage to stage."""
    blocks: tuple[int, ...] = Field((3, 4, 6, 3), min_length=1)
    """Of each stage."""

    def stages(self) -> list[StageShape]:
        """The first stage keeps the size, the others halve it."""
        factor = EXPANSION if self.block == "bottleneck" else 1
        return [StageShape(self.width * 2**index * factor, blocks, 1 if index == 0 else 2) for index, blocks in enumerate(self.blocks)]


class Basic(nn.Module):
    """Two convolutions of three by three."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis, stride: int) -> None:
        super().__init__()
        hidden = blueprint.width(f"{name}.hidden", full_count(blueprint, outside))
        self.body = nn.Sequential(
            blueprint.gate(inside, 1),
            convolution(inside, hidden, 3, stride=stride),
            image_norm(hidden),
            nn.ReLU(),
            blueprint.gate(hidden, 1),
            convolution(hidden, outside, 3),
            image_norm(outside),
        )

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, inside, height, width) -> (batch, outside, height / stride, width / stride)"""
        return self.body(trunk)


class Bottleneck(nn.Module):
    """One by one, three by three (which has the stride), one by one."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis, stride: int) -> None:
        super().__init__()
        width = full_count(blueprint, outside) // EXPANSION
        first, second = blueprint.width(f"{name}.first", width), blueprint.width(f"{name}.second", width)
        self.body = nn.Sequential(
            blueprint.gate(inside, 1),
            convolution(inside, first),
            image_norm(first),
            nn.ReLU(),
            blueprint.gate(first, 1),
            convolution(first, second, 3, stride=stride),
            image_norm(second),
            nn.ReLU(),
            blueprint.gate(second, 1),
            convolution(second, outside),
            image_norm(outside),
        )

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, inside, height, width) -> (batch, outside, height / stride, width / stride)"""
        return self.body(trunk)


class Entry(nn.Module):
    """relu(projection(x) + f(x)): the block that changes width or size."""

    def __init__(self, blueprint: Blueprint, branch: nn.Module, inside: Axis, outside: Axis, stride: int) -> None:
        super().__init__()
        self.branch, self.gate = branch, blueprint.gate(inside, 1)
        self.projection = nn.Sequential(convolution(inside, outside, stride=stride), image_norm(outside))

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, inside, height, width) -> (batch, outside, height / stride, width / stride)"""
        return (self.projection(self.gate(trunk)) + self.branch(trunk)).relu()


class ResNet(nn.Module):
    """A stem and stages; `channels` holds the axis of each stage's map."""

    def __init__(self, blueprint: Blueprint, shape: ResNetShape, channels: Axis) -> None:
        super().__init__()
        make = Basic if shape.block == "basic" else Bottleneck

        def branch(name: str, inside: Axis, outside: Axis, stride: int) -> nn.Module:
            return make(blueprint, name, inside, outside, stride)

        def entry(name: str, inside: Axis, outside: Axis, stride: int) -> nn.Module:
            return Entry(blueprint, branch(name, inside, outside, stride), inside, outside, stride)

        axis = blueprint.width("stem", shape.width)
        self.stem = _stem(shape, channels, axis)
        self.stages, self.channels = nn.ModuleDict(), {}
        for number, stage in enumerate(shape.stages(), start=1):
            built = Stage(blueprint, f"stage{number}", axis, stage, Builders(entry, branch, nn.ReLU))
            self.stages[f"stage{number}"], axis = built, built.axis
            self.channels[f"stage{number}"] = axis

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(batch, channel, height, width) -> `stage1`, `stage2`, ...: maps of (batch, channel, height, width)"""
        maps, trunk = {}, self.stem(image)
        for name, stage in self.stages.items():
            maps[name] = trunk = stage(trunk)
        return maps


def _stem(shape: ResNetShape, channels: Axis, axis: Axis) -> nn.Sequential:
    if shape.stem == "small":
        return nn.Sequential(convolution(channels, axis, 3), image_norm(axis), nn.ReLU())
    large = convolution(channels, axis, 7, stride=2)
    return nn.Sequential(large, image_norm(axis), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
