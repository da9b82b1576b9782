"""Networks of inverted residual blocks (MobileNetV2, arXiv 1801.04381; EfficientNet, arXiv 1905.11946) without a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Axis, Blueprint
from stillhouse.workloads.pictures._shared.convolution import convolution, depthwise, image_norm
from stillhouse.workloads.pictures._shared.residual import Builders, Stage, StageShape, full_count

if TYPE_CHECKING:
    from jaxtyping import Float

_ACTIVATIONS = {"relu6": nn.ReLU6, "silu": nn.SiLU, "relu": nn.ReLU}


class InvertedStage(Settings):
    """`expansion` is the inner width of a block beside that of its input; the stride is the first block's."""

    width: int = Field(gt=0)
    blocks: int = Field(gt=0)
    expansion: int = Field(default=6, gt=0)
    stride: int = Field(default=1, gt=0)
    kernel: Literal[3, 5, 7] = 3


class MobileNetShape(Settings):
    """The defaults are MobileNetV2; EfficientNet has `squeeze: 0.25, activation: silu` and stages of its own."""

    stem: int = Field(32, gt=0)
    stem_stride: int = Field(2, gt=0)
    stages: tuple[InvertedStage, ...] = Field(
        (
            InvertedStage(width=16, blocks=1, expansion=1),
            InvertedStage(width=24, blocks=2, stride=2),
            InvertedStage(width=32, blocks=3, stride=2),
            InvertedStage(width=64, blocks=4, stride=2),
            InvertedStage(width=96, blocks=3),
            InvertedStage(width=160, blocks=3, stride=2),
            InvertedStage(width=320, blocks=1),
        ),
        min_length=1,
    )
    squeeze: float = Field(0.0, ge=0, le=1)
    """The width of squeeze-and-excitation beside that of the block's input; 0 leaves it out."""
    activation: Literal["relu6", "silu", "relu"] = "relu6"


class SqueezeExcite(nn.Module):
    """Weighs each channel by what all channels are on average (arXiv 1709.01507)."""

    def __init__(self, blueprint: Blueprint, name: str, axis: Axis, width: int, activation: type[nn.Module]) -> None:
        super().__init__()
        hidden = blueprint.width(name, width)
        self.body = nn.Sequential(
            blueprint.gate(axis, 1),
            blueprint.linear(axis, hidden),
            activation(),
            blueprint.gate(hidden, 1),
            blueprint.linear(hidden, axis),
            nn.Sigmoid(),
        )

    def forward(self, value: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch channel height width"]:
        """(batch, channel, height, width), the same in and out."""
        return value * self.body(value.mean((2, 3)))[:, :, None, None]


class Inverted(nn.Module):
    """Widens, convolves each channel by itself, weighs the channels, and narrows without an activation."""

    def __init__(self, blueprint: Blueprint, name: str, ends: tuple[Axis, Axis], shape: MobileNetShape, stage: InvertedStage) -> None:
        super().__init__()
        inside, outside = ends
        activation, width = _ACTIVATIONS[shape.activation], full_count(blueprint, inside)
        hidden = inside if stage.expansion == 1 else blueprint.width(f"{name}.hidden", width * stage.expansion)
        layers: list[nn.Module] = []
        if stage.expansion > 1:
            layers += [blueprint.gate(inside, 1), convolution(inside, hidden), image_norm(hidden), activation()]
        layers += [depthwise(hidden, stage.kernel, stride=stage.stride), image_norm(hidden), activation()]
        if shape.squeeze:
            squeezed = max(1, int(width * shape.squeeze))
            layers.append(SqueezeExcite(blueprint, f"{name}.squeeze", hidden, squeezed, activation))
        self.body = nn.Sequential(*layers, blueprint.gate(hidden, 1), convolution(hidden, outside), image_norm(outside))

    def forward(self, trunk: Float[Tensor, "batch inside _ _"]) -> Float[Tensor, "batch outside _ _"]:
        """(batch, inside, height, width) -> (batch, outside, height / stride, width / stride)"""
        return self.body(trunk)


class MobileNet(nn.Module):
    """A stem and stages; `channels` holds the axis of each stage's map."""

    def __init__(self, blueprint: Blueprint, shape: MobileNetShape, channels: Axis) -> None:
        super().__init__()
        axis = blueprint.width("stem", shape.stem)
        self.activation = _ACTIVATIONS[shape.activation]
        self.stem = nn.Sequential(convolution(channels, axis, 3, stride=shape.stem_stride), image_norm(axis), self.activation())
        self.stages, self.channels = nn.ModuleDict(), {}
        for number, stage in enumerate(shape.stages, start=1):
            built = _stage(blueprint, f"stage{number}", axis, shape, stage)
            self.stages[f"stage{number}"], axis = built, built.axis
            self.channels[f"stage{number}"] = axis

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> dict[str, Float[Tensor, "batch _ _ _"]]:
        """(batch, channel, height, width) -> `stage1`, `stage2`, ...: maps of (batch, channel, height, width)"""
        maps, trunk = {}, self.stem(image)
        for name, stage in self.stages.items():
            maps[name] = trunk = stage(trunk)
        return maps


def _stage(blueprint: Blueprint, name: str, inside: Axis, shape: MobileNetShape, stage: InvertedStage) -> Stage:
    def block(prefix: str, inside: Axis, outside: Axis, stride: int) -> nn.Module:
        return Inverted(blueprint, prefix, (inside, outside), shape, stage.model_copy(update={"stride": stride}))

    return Stage(blueprint, name, inside, StageShape(stage.width, stage.blocks, stage.stride), Builders(block, block))
