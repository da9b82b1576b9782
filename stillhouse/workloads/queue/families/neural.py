"""The neural chain: a perceptron gives the rate of each transition from its source, its target and the load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from stillhouse.contracts.families import Family
from stillhouse.contracts.output import Feature, Layout
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed
from stillhouse.workloads.queue.chain import Chain, ChainSettings, Prior, penalty
from stillhouse.workloads.queue.walk import Transitions, deaths

if TYPE_CHECKING:
    from jaxtyping import Float

TRANSITIONS = Layout(channel=2, positions=(1,), batch=0)
"""(loads, transitions, channel)"""
_INPUTS = 4


class NeuralSettings(ChainSettings):
    """`width` channels in the trunk, `hidden` inside each of `depth` residual blocks; all three are searched.

    The penalty counts the jumps over more than one state.
    """

    family: Literal["neural"] = "neural"
    width: int = Field(32, gt=0)
    hidden: int = Field(32, gt=0)
    depth: int = Field(2, ge=0)
    reach: int = Field(1, gt=0)
    """How many states a transition downward may lead over."""
    load_input: bool = True
    """Whether rates may depend on the load; without it what the light loads teach holds at all loads."""
    stiffness: float = Field(1.0, ge=0)
    """Weight of the network's mean squared output: of what departs from one rate for all single steps."""
    decay: float = Field(3.0, ge=0)
    """Before training, each further state that a jump leads over divides its rate by e to this power."""


class Block(nn.Module):
    """x + f(x), where f has a searched width inside and may be dropped as a whole."""

    def __init__(self, blueprint: Blueprint, index: int, trunk: Axis, width: int) -> None:
        super().__init__()
        hidden = blueprint.width(f"block{index}.hidden", width)
        self.outer, self.inner = blueprint.gate(trunk), blueprint.gate(hidden)
        self.first, self.second = blueprint.linear(trunk, hidden), blueprint.linear(hidden, trunk)
        self.whole = blueprint.depth_gate("blocks", index)

    def forward(self, trunk: Tensor) -> Tensor:
        """(..., trunk) -> (..., trunk)"""
        return trunk + self.whole(self.second(self.inner(torch.tanh(self.first(self.outer(trunk))))))


class Rates(nn.Module):
    """The network, and one factor of all rates, so that a change of scale is no change of shape.

    What the network costs is counted; the solve for the steady state, which is the same for every student, is not.
    """

    place: Tensor
    far: Tensor
    offset: Tensor

    def __init__(self, settings: NeuralSettings, permitted: Transitions, blueprint: Blueprint) -> None:
        super().__init__()
        self.settings = settings
        jump = permitted.source - permitted.target
        shares = torch.stack((permitted.source, permitted.target)) / (permitted.states - 1)
        self.register_buffer("place", torch.stack((*(2 * shares - 1), jump / settings.reach), -1), persistent=False)
        self.register_buffer("far", (self.place[:, 2] > 1.5 / settings.reach).nonzero().squeeze(1), persistent=False)
        self.register_buffer("offset", _inverse_softplus(torch.exp(-settings.decay * (jump - 1.0))), persistent=False)
        trunk = blueprint.width("trunk", settings.width)
        self.first = blueprint.linear(fixed(_INPUTS), trunk)
        # A dictionary and not a list: a static network then keeps the names of the blocks that it keeps.
        self.blocks = nn.ModuleDict(
            {
                str(index): blueprint.block("blocks", index, Block(blueprint, index, trunk, settings.hidden))
                for index in blueprint.depth("blocks", settings.depth)
            }
        )
        self.gate, self.last = blueprint.gate(trunk), blueprint.linear(trunk, fixed(1))
        self.scale = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, load: Float[Tensor, " loads"]) -> Prior:
        """Rates (loads, transitions) that begin as those of M/M/1/K at the load's scale."""
        trunk = torch.tanh(self.first(self._inputs(load).flatten(0, 1)))  # rows of a table: what runtimes multiply fastest
        for block in self.blocks.values():
            trunk = block(trunk)
        trunk = self.gate(trunk)
        # Linear far out, where an exponential would run away at loads that were never seen.
        shape = self.last(trunk).view(load.shape[0], len(self.place)).double()
        rates = self.scale.double().exp() * softplus(shape + self.offset)
        price = penalty(rates[:, self.far], self.settings.penalty) + self.settings.stiffness * shape.square().mean()
        return rates, price, {"trunk": Feature(trunk.unflatten(0, shape.shape), TRANSITIONS)}

    def _inputs(self, load: Tensor) -> Tensor:
        place = self.place.expand(load.shape[0], -1, -1)
        about = load.log() if self.settings.load_input else torch.zeros_like(load)
        return torch.cat((place, about.to(place)[:, None, None].expand(-1, place.shape[1], 1)), -1)


def _inverse_softplus(value: Tensor) -> Tensor:
    value = value.double()
    return value + torch.log(-torch.expm1(-value))


def neural(settings: NeuralSettings, states: int, architecture: Architecture | None) -> Chain:
    """The full network, or the static one of an architecture."""
    blueprint, permitted = Blueprint(architecture), deaths(states, settings.reach)
    return Chain(settings, Rates(settings, permitted, blueprint), permitted, blueprint)


def build(settings: NeuralSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> Chain:
    """The chain of as many states as the data have."""
    return neural(settings, sizes["states"], architecture)


FAMILY = Family(NeuralSettings, build)
