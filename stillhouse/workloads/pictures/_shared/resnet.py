"""Residual networks (arXiv 1512.03385) without a head: maps of one stage after another, with searched widths and depths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Axis, Blueprint
from stillhouse.workloads.pictures._shared.convolution import convolution, image_norm
from stillhouse.workloads.pictures._shared.residual import Builders, Stage, StageShape, full_count

if TYPE_CHECKING:
    from jaxtyping import Float

EXPANSION = 4
"""How many times its inner width a bottleneck's output is wide."""


class ResNetShape(Settings):
    """ResNet-50 is `block: bottleneck, blocks: [3, 4, 6, 3]`; the 20 layers for CIFAR `stem: small, width: 16, blocks: [3, 3, 3]`."""

    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["small", "large"] = "large"
    """`large` sees seven by seven pixels and halves the size twice (ImageNet), `small` sees three by three and keeps it (CIFAR)."""
    width: int = Field(64, gt=0)
    """Width of the stem and inside the first stage; it doubles from stage to stage."""
    blocks: tuple[int, ...] = Field((3, 4, 6, 3), min_length=1)
    """Number of blocks of each stage."""
    dilated: int = Field(0, ge=0)
    """How many of the last stages keep the size and spread their kernels instead of halving it (arXiv 1511.07122)."""

    @model_validator(mode="after")
    def _dilatable(self) -> ResNetShape:
        if self.dilated >= len(self.blocks):
            raise ValueError(f"dilated should be less than the number of stages: got {self.dilated} of {len(self.blocks)}")
        return self

    def stages(self) -> list[StageShape]:
        """The first stage and the dilated ones keep the size, the others halve it."""
        factor, halving = EXPANSION if self.block == "bottleneck" else 1, range(1, len(self.blocks) - self.dilated)
        return [
            StageShape(self.width * 2**index * factor, blocks, 2 if index in halving else 1) for index, blocks in enumerate(self.blocks)
        ]

    def dilation(self, index: int) -> int:
        """The distance between the elements of a kernel in stage `index` from 0; it doubles where the size would be halved."""
        return int(2 ** max(0, index - (len(self.blocks) - self.dilated) + 1))


@dataclass(frozen=True)
class Step:
    """How a block moves over a map: its stride, and the dilations of the kernel that has the stride and of those behind it."""

    stride: int
    dilation: int
    behind: int


class Basic(nn.Module):
    """Two convolutions of three by three."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis, step: Step) -> None:
        super().__init__()
        hidden = blueprint.width(f"{name}.hidden", full_count(blueprint, outside))
        self.body = nn.Sequential(
            blueprint.gate(inside, 1),
            convolution(inside, hidden, 3, stride=step.stride, dilation=step.dilation),
            image_norm(hidden),
            nn.ReLU(),
            blueprint.gate(hidden, 1),
            convolution(hidden, outside, 3, dilation=step.behind),
            image_norm(outside),
        )

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, inside, height, width) -> (batch, outside, height / stride, width / stride)"""
        return self.body(trunk)


class Bottleneck(nn.Module):
    """One by one, three by three (which has the stride), one by one."""

    def __init__(self, blueprint: Blueprint, name: str, inside: Axis, outside: Axis, step: Step) -> None:
        super().__init__()
        width = full_count(blueprint, outside) // EXPANSION
        first, second = blueprint.width(f"{name}.first", width), blueprint.width(f"{name}.second", width)
        self.body = nn.Sequential(
            blueprint.gate(inside, 1),
            convolution(inside, first),
            image_norm(first),
            nn.ReLU(),
            blueprint.gate(first, 1),
            convolution(first, second, 3, stride=step.stride, dilation=step.dilation),
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
        axis = blueprint.width("stem", shape.width)
        self.stem = _stem(shape, channels, axis)
        self.stages, self.channels = nn.ModuleDict(), {}
        for number, stage in enumerate(shape.stages(), start=1):
            built = Stage(blueprint, f"stage{number}", axis, stage, _builders(blueprint, shape, number - 1))
            self.stages[f"stage{number}"], axis = built, built.axis
            self.channels[f"stage{number}"] = axis

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> dict[str, Float[Tensor, "batch _ _ _"]]:
        """(batch, channel, height, width) -> `stage1`, `stage2`, ...: maps of (batch, channel, height, width)"""
        maps, trunk = {}, self.stem(image)
        for name, stage in self.stages.items():
            maps[name] = trunk = stage(trunk)
        return maps


def _builders(blueprint: Blueprint, shape: ResNetShape, index: int) -> Builders:
    """Builds the blocks of stage `index`: the kernel of the entry that would have the stride sees what the stage before has left."""
    make = Basic if shape.block == "basic" else Bottleneck
    before, dilation = shape.dilation(max(index - 1, 0)), shape.dilation(index)

    def branch(name: str, inside: Axis, outside: Axis, stride: int) -> nn.Module:
        return make(blueprint, name, inside, outside, Step(stride, dilation, dilation))

    def entry(name: str, inside: Axis, outside: Axis, stride: int) -> nn.Module:
        first = make(blueprint, name, inside, outside, Step(stride, before, dilation))
        return Entry(blueprint, first, inside, outside, stride)

    return Builders(entry, branch, nn.ReLU)


def _stem(shape: ResNetShape, channels: Axis, axis: Axis) -> nn.Sequential:
    if shape.stem == "small":
        return nn.Sequential(convolution(channels, axis, 3), image_norm(axis), nn.ReLU())
    large = convolution(channels, axis, 7, stride=2)
    return nn.Sequential(large, image_norm(axis), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
