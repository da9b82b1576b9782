"""What all detectors have in common: a residual network, a pyramid, and a head that is asked at every level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.func import functional_call

from stillhouse.contracts.output import IMAGE, Feature
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Axis, Blueprint, fixed
from stillhouse.workloads.pictures._shared.resnet import ResNet, ResNetShape
from stillhouse.workloads.pictures.detect.head import HeadShape
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from stillhouse.workloads.pictures.detect.pyramid import Pyramid, PyramidShape, depths

if TYPE_CHECKING:
    from jaxtyping import Float


class DetectorShape(Settings):
    """As published with ResNet-50: `backbone: {block: bottleneck, blocks: [3, 4, 6, 3]}`, all else as it is."""

    backbone: ResNetShape = ResNetShape.model_validate({})
    pyramid: PyramidShape = PyramidShape.model_validate({})
    head: HeadShape = HeadShape.model_validate({})


@runtime_checkable
class MakeHead(Protocol):
    """Makes the head of a family for levels of some channels, by name with their strides."""

    def __call__(self, blueprint: Blueprint, inside: Axis, strides: dict[str, int]) -> nn.Module: ...


class Detector(nn.Module):
    """Features are the levels of the pyramid: `p3`, `p4`, ..."""

    def __init__(self, blueprint: Blueprint, shape: DetectorShape, sizes: Mapping[str, int], make_head: MakeHead) -> None:
        super().__init__()
        self.backbone = ResNet(blueprint, shape.backbone, fixed(sizes["channels"]))
        self.pyramid = Pyramid(blueprint, shape.pyramid, self.backbone.channels, depths(shape.backbone))
        self.head = make_head(blueprint, self.pyramid.axis, self.pyramid.strides)
        self.blueprint = blueprint

    def forward(self, image: Float[Tensor, "batch channel height width"]) -> DetectorOutput:
        """(batch, channel, height, width)"""
        levels = self.pyramid(self.backbone(image))
        output: DetectorOutput = self.head(levels)
        extent = image.shape[2], image.shape[3]
        features = {name: Feature(value, IMAGE) for name, value in levels.items()}
        return replace(output, extent=extent, features=features, head=partial(self._asked, extent))

    def _asked(self, extent: tuple[int, int], levels: Mapping[str, Float[Tensor, "batch channel _ _"]]) -> DetectorOutput:
        """What the head says, its weights standing still."""
        still = {name: weight.detach() for name, weight in self.head.named_parameters()}
        output: DetectorOutput = functional_call(self.head, still, (levels,))
        return replace(output, extent=extent)
