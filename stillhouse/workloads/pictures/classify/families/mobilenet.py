"""Networks of inverted residual blocks as classifiers (MobileNetV2, arXiv 1801.04381; EfficientNet, arXiv 1905.11946)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture, Blueprint, fixed
from stillhouse.workloads.pictures._shared.convolution import convolution, image_norm
from stillhouse.workloads.pictures._shared.mobilenet import MobileNet, MobileNetShape
from stillhouse.workloads.pictures.classify.convolutional import Convolutional


class MobileNetSettings(MobileNetShape):
    """Inverted residual blocks, a last convolution of one by one to `head` channels, and one linear map of their mean."""

    family: Literal["mobilenet"] = "mobilenet"
    head: int = Field(1280, gt=0)


def mobilenet(settings: MobileNetSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Convolutional:
    """For pictures of any height and width."""
    blueprint = Blueprint(architecture)
    backbone = MobileNet(blueprint, settings, fixed(sizes["channels"]))
    last, axis = next(reversed(backbone.channels.values())), blueprint.width("head", settings.head)
    head = nn.Sequential(blueprint.gate(last, 1), convolution(last, axis), image_norm(axis), backbone.activation())
    return Convolutional(blueprint, backbone, head, axis, sizes["classes"])


FAMILY = Family(MobileNetSettings, mobilenet)
