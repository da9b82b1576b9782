"""The rival that knows no chain: a perceptron from the load to a distribution over states."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from stillhouse.contracts.families import Family
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture, Blueprint, fixed
from stillhouse.workloads.queue.batch import QueueOutput

if TYPE_CHECKING:
    from jaxtyping import Float


class BlackBoxSettings(Settings):
    """Two hidden layers of `width`."""

    family: Literal["black_box"] = "black_box"
    width: int = Field(32, gt=0)


class BlackBox(nn.Module):
    """Nothing ties the states that were never seen to those that were."""

    def __init__(self, settings: BlackBoxSettings, states: int, architecture: Architecture | None) -> None:
        super().__init__()
        self.blueprint = blueprint = Blueprint(architecture)
        axes = [fixed(1), *(blueprint.width(f"hidden{index}", settings.width) for index in range(2)), fixed(states)]
        self.layers = nn.ModuleList(blueprint.linear(*pair) for pair in pairwise(axes))
        self.gates = nn.ModuleList(blueprint.gate(axis) for axis in axes[:-1])

    def forward(self, load: Float[Tensor, " loads"]) -> QueueOutput:
        """(loads,) to the logarithm of a distribution, (loads, states)."""
        value = load.log().to(next(self.parameters()).dtype).unsqueeze(-1)
        for index, (gate, layer) in enumerate(zip(self.gates, self.layers, strict=True)):
            value = layer(gate(torch.tanh(value) if index else value))
        return QueueOutput(log_softmax(value.double(), -1), "classes")


def build(settings: BlackBoxSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> BlackBox:
    """For as many states as the data have."""
    return BlackBox(settings, sizes["states"], architecture)


FAMILY = Family(BlackBoxSettings, build)
