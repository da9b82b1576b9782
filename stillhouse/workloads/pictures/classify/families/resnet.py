"""Residual networks as classifiers (arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from stillhouse.contracts.families import Family
from stillhouse.space.blueprint import Architecture, Blueprint, fixed
from stillhouse.workloads.pictures._shared.resnet import ResNet, ResNetShape
from stillhouse.workloads.pictures.classify.convolutional import Convolutional


class ResNetSettings(ResNetShape):
    """A residual network, and one linear map of the mean of its last stage."""

    family: Literal["resnet"] = "resnet"


def resnet(settings: ResNetSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Convolutional:
    """For pictures of any height and width."""
    blueprint = Blueprint(architecture)
    backbone = ResNet(blueprint, settings, fixed(sizes["channels"]))
    return Convolutional(blueprint, backbone, nn.Identity(), next(reversed(backbone.channels.values())), sizes["classes"])


FAMILY = Family(ResNetSettings, resnet)
