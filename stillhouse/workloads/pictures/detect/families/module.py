"""A detector of one's own: any network from (batch, channel, height, width) to logits of classes and boxes in pixels, at some places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.detect.output import DetectorOutput
from stillhouse.workloads.pictures.detect.plain import Plain


class PlainSettings(ModuleSettings):
    """`prediction` and `boxes` say where the two are; by default `logits` and `boxes`, or the first and the second entry."""

    boxes: str | int | None = None


@dataclass(frozen=True)
class AsDetections(AsOutput):
    """A forward hook that makes a `DetectorOutput` of what a network returns."""

    boxes: str | int | None = None

    def __call__(self, module: nn.Module, args: Any, returned: Any) -> DetectorOutput:
        """Raises UserError if there are no such tensors in it, or not a box for each place."""
        logit, key = self.predicted(module, returned), self.boxes
        if key is None:
            key = "boxes" if hasattr(returned, "boxes") or (isinstance(returned, Mapping) and "boxes" in returned) else 1
        box = foreign.part(module, returned, key, "logits and boxes")
        if logit.dim() != 3 or box.shape != (*logit.shape[:2], 4):
            wanted = "wanted logits (batch, places, classes) and boxes (batch, places, 4)"
            raise UserError(f"{type(module).__name__} - {wanted} - got {tuple(logit.shape)} and {tuple(box.shape)}")
        height, width = args[0].shape[2:]
        return DetectorOutput(logit, self.meaning, box=box, extent=(height, width), interpretation=Plain())


def module(settings: PlainSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For pictures of the data's height and width."""
    example = (torch.zeros(2, sizes["channels"], sizes["height"], sizes["width"]),)
    hook = AsDetections("values", settings.prediction, settings.boxes)
    return foreign.module(settings, example, architecture, hook, (2, None, sizes["classes"]))


FAMILY = Family(PlainSettings, module)
