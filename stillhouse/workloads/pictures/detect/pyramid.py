"""Feature pyramids (FPN, arXiv 1612.03144): maps of one width at every scale, the fine ones told what the coarse ones know."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Axis, Blueprint
from stillhouse.workloads.pictures._shared.convolution import convolution
from stillhouse.workloads.pictures._shared.resnet import ResNetShape

if TYPE_CHECKING:
    from jaxtyping import Float


class PyramidShape(Settings):
    """Level l has a cell for 2^l by 2^l pixels; those above the backbone's last map are made from the level below."""

    width: int = Field(256, gt=0)
    """Channels of the maps that are added, and of each level."""
    lowest: int = Field(3, ge=0)
    highest: int = Field(7, ge=0)


def depths(shape: ResNetShape) -> dict[str, int]:
    """Stage of a backbone -> the level of its map."""
    stem = 4 if shape.stem == "large" else 1
    strides = accumulate((stage.stride for stage in shape.stages()), lambda before, stride: before * stride, initial=stem)
    return {f"stage{number}": stride.bit_length() - 1 for number, stride in enumerate(strides) if number}


class Pyramid(nn.Module):
    """From the backbone's maps to the levels `p3`, `p4`, ... by `names`; `axis` is that of their channels.

    Groups: `pyramid.lateral`, the maps that are added and so have the same channels, and `pyramid.output`, the levels, which have
    them in common because all go through one head.
    """

    def __init__(self, blueprint: Blueprint, shape: PyramidShape, channels: dict[str, Axis], levels: dict[str, int]) -> None:
        super().__init__()
        _check(shape, levels)
        lateral, self.axis = blueprint.width("pyramid.lateral", shape.width), blueprint.width("pyramid.output", shape.width)
        # Where stages keep the size, the last of a level is the one that knows most.
        self.sources = {f"p{level}": stage for stage, level in levels.items() if level >= shape.lowest}
        self.strides = {f"p{level}": 2**level for level in range(shape.lowest, shape.highest + 1)}
        self.lateral, self.output, self.extra = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name in self.strides:
            if name in self.sources:
                self.lateral[name] = _joined(blueprint, channels[self.sources[name]], lateral, 1)
                self.output[name] = _joined(blueprint, lateral, self.axis, 3)
            else:
                self.extra[name] = _joined(blueprint, self.axis, self.axis, 3, stride=2)

    def forward(self, maps: dict[str, Float[Tensor, "batch _ _ _"]]) -> dict[str, Float[Tensor, "batch _ _ _"]]:
        """Levels by name, the finest first, each (batch, channel, height, width)."""
        levels: dict[str, Tensor] = {}
        above: Tensor | None = None
        for name in reversed(list(self.lateral)):
            value = self.lateral[name](maps[self.sources[name]])
            above = value if above is None else value + interpolate(above, size=value.shape[2:], mode="nearest")
            levels[name] = self.output[name](above)
        levels = dict(reversed(levels.items()))
        last = next(reversed(levels.values()))
        for name, layer in self.extra.items():
            # The first extra level is made of the last one as it is, the others of what its ReLU leaves (arXiv 1708.02002).
            last = levels[name] = layer(last if name == next(iter(self.extra)) else last.relu())
        return levels


def _joined(blueprint: Blueprint, inside: Axis, outside: Axis, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(blueprint.gate(inside, 1), convolution(inside, outside, kernel, stride=stride, bias=True))


def _check(shape: PyramidShape, levels: dict[str, int]) -> None:
    first, last = min(levels.values()), max(levels.values())
    if not (first <= shape.lowest <= last <= shape.highest):
        raise UserError(
            f"wanted a pyramid whose lowest level is one of the backbone's, {first} to {last}, and whose highest is not below them - got "
            f"{shape.lowest} and {shape.highest}"
        )
