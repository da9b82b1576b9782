"""A segmenting network of one's own: any network from (batch, channel, height, width) to logits of every pixel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For pictures of the data's height and width; the prediction is (batch, class, height, width)."""
    places = (sizes["height"], sizes["width"])
    example = (torch.zeros(2, sizes["channels"], *places),)
    return foreign.module(settings, example, architecture, AsOutput("classes", settings.prediction), (2, sizes["classes"], *places))


FAMILY = Family(ModuleSettings, module)
