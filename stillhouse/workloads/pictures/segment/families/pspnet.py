"""Pyramid scene parsing (PSPNet, arXiv 1612.01105): a dilated residual network, means over coarse grids, and a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stillhouse.contracts.families import Family
from stillhouse.contracts.output import IMAGE, Feature, Output
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed
from stillhouse.workloads.pictures._shared.convolution import convolution, image_norm
from stillhouse.workloads.pictures._shared.residual import full_count
from stillhouse.workloads.pictures._shared.resnet import ResNet, ResNetShape

if TYPE_CHECKING:
    from jaxtyping import Float


class PSPNetSettings(ResNetShape):
    """PSPNet-R18 is `blocks: [2, 2, 2, 2]`, PSPNet-R101 `block: bottleneck, blocks: [3, 4, 23, 3], head: 512`."""

    family: Literal["pspnet"] = "pspnet"
    dilated: int = Field(2, ge=0)
    bins: tuple[int, ...] = Field((1, 2, 3, 6), min_length=1)
    """The sides of the coarse grids; each gets an equal part of the last stage's width."""
    head: int = Field(128, gt=0)
    """The width of the map that is classified."""


class Level(nn.Module):
    """Means over a grid of `bins` by `bins`, fewer channels, and back to the size of the map."""

    def __init__(self, blueprint: Blueprint, inside: Axis, outside: Axis, bins: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AdaptiveAvgPool2d(bins),
            blueprint.gate(inside, 1),
            convolution(inside, outside),
            image_norm(outside),
            nn.ReLU(),
        )

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, inside, height, width) -> (batch, outside, height, width)"""
        return resized(self.body(trunk), trunk)


class Pyramid(nn.Module):
    """The map beside its means over all grids, and one convolution of three by three of it all."""

    def __init__(self, blueprint: Blueprint, inside: Axis, outside: Axis, bins: tuple[int, ...]) -> None:
        super().__init__()
        width, joined = max(1, full_count(blueprint, inside) // len(bins)), inside
        self.levels = nn.ModuleList()
        for number, side in enumerate(bins):
            axis = blueprint.width(f"level{number}", width)
            self.levels.append(Level(blueprint, inside, axis, side))
            joined = joined + axis
        self.body = nn.Sequential(blueprint.gate(joined, 1), convolution(joined, outside, 3), image_norm(outside), nn.ReLU())

    def forward(self, trunk: Tensor) -> Tensor:
        """(batch, inside, height, width) -> (batch, outside, height, width)"""
        return self.body(torch.cat([trunk, *(level(trunk) for level in self.levels)], 1))


class PSPNet(nn.Module):
    """For pictures of any height and width. The coarsest level's norm wants two pictures at least while it is trained."""

    def __init__(self, settings: PSPNetSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> None:
        super().__init__()
        blueprint = Blueprint(architecture)
        self.backbone = ResNet(blueprint, settings, fixed(sizes["channels"]))
        head = blueprint.width("head", settings.head)
        self.pyramid = Pyramid(blueprint, next(reversed(self.backbone.channels.values())), head, settings.bins)
        self.classify = nn.Sequential(blueprint.gate(head, 1), convolution(head, fixed(sizes["classes"]), bias=True))
        self.blueprint = blueprint

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> Output:
        """(batch, channel, height, width) -> logits (batch, height, width, classes), resized from those of the feature `logits`.

        Features are the backbone's maps, `stage1`, ..., what is classified, `pyramid`, and `logits`, as coarse as the last stage.
        """
        maps = self.backbone(image)
        maps["pyramid"] = self.pyramid(next(reversed(maps.values())))
        maps["logits"] = self.classify(maps["pyramid"])
        prediction = resized(maps["logits"], image).movedim(1, -1)
        return Output(prediction, "classes", {name: Feature(value, IMAGE) for name, value in maps.items()})


def resized(
    value: Float[Tensor, "batch channel _ _"], like: Float[Tensor, "batch _ height width"]
) -> Float[Tensor, "batch channel height width"]:
    """Bilinearly to the height and width of `like`, corners not aligned."""
    return interpolate(value, size=like.shape[2:], mode="bilinear", align_corners=False)


FAMILY = Family(PSPNetSettings, PSPNet)
