"""Outputs of a network whose head can be asked again, as a detector's, made out of plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.contracts.output import Output

WEIGHT = torch.randn(7, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
"""Three classes and four sides of a box, of four channels."""


@dataclass(frozen=True, kw_only=True)
class HeadedOutput(Output):
    """Its head is one linear map at each place, and boxes are apart by what it says of their sides."""

    box: Tensor

    def again(self, levels: Mapping[str, Tensor]) -> HeadedOutput:
        """The head's weights are fixed."""
        value = levels["map"].flatten(2)
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        with torch.autocast("cpu", enabled=False):
            logits, box = torch.einsum("kc,bcp->bpk", WEIGHT.to(value), value).split([3, 4], 2)
        return HeadedOutput(logits, "values", self.features, box=box)

    def apart(self, other: HeadedOutput) -> Tensor:
        """(batch, places)"""
        return (self.box - other.box.detach()).square().mean(-1)


def headed(plain: Output) -> HeadedOutput:
    """The features of a plain output, and what the head says of them."""
    empty = HeadedOutput(plain.prediction, plain.meaning, plain.features, box=plain.prediction)
    return empty.again({name: feature.value for name, feature in plain.features.items()})
