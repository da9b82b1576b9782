"""Chains as models: rates given by a prior, answered by their steady state, with gradients of the chosen kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.output import Feature
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Blueprint
from stillhouse.workloads.queue.batch import QueueOutput
from stillhouse.workloads.queue.gradients import GradientSettings, Infinity, steady_state
from stillhouse.workloads.queue.walk import Transitions, all_others, births

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST = 1e-30
"""Probabilities below it are told as it, and carry no gradient."""
_RARE = 1e-4
Prior = tuple["Float[Tensor, 'loads transitions']", "Float[Tensor, '']", dict[str, Feature]]
"""What a prior answers: rates, a penalty, and features."""


class ChainSettings(Settings):
    """What all chains have in common."""

    gradient: GradientSettings = Infinity(stop=None)
    penalty: float | None = Field(None, gt=0)
    """Weight of the Frobenius norm of all rates that the prior does not expect, in units of the mean training load.
    None leaves such transitions out, or, where a family has them anyway, leaves them unpenalised."""


class Chain(nn.Module):
    """Known births, one at a time at the rate of the load, and the rates of a `prior` for all other transitions.

    `prior(load)` gives rates (loads, transitions), a penalty, and features. All rates are in units of the mean training load.
    """

    source: Tensor
    target: Tensor

    def __init__(self, settings: ChainSettings, prior: nn.Module, others: Transitions, blueprint: Blueprint | None = None) -> None:
        super().__init__()
        self.gradient, self.states, self.prior = settings.gradient, others.states, prior
        every = births(others.states) + others
        self.jumps = every.jumps
        self.register_buffer("source", every.source, persistent=False)
        self.register_buffer("target", every.target, persistent=False)
        self.blueprint = blueprint or Blueprint()

    def forward(self, load: Float[Tensor, " loads"]) -> QueueOutput:
        """(loads,) to the logarithm of the steady state, (loads, states)."""
        rates, penalty, features = self.rates(load)
        steady = steady_state(rates, Transitions(self.states, self.source, self.target, self.jumps), self.gradient)
        return QueueOutput(steady.clamp(min=LEAST).log(), "classes", features, penalty)

    def rates(self, load: Float[Tensor, " loads"]) -> Prior:
        """All rates (loads, transitions) in the order of `source` and `target`, with the penalty and the features."""
        load = load.double()
        others, penalty, features = self.prior(load)
        return torch.cat((load.unsqueeze(-1).expand(-1, self.states - 1), others), 1), penalty, features


class Free(nn.Module):
    """A rate for each transition, and a penalty on all of them if it has a weight."""

    def __init__(self, start: Tensor, weight: float | None) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(start.log())
        self.weight = weight

    def forward(self, load: Float[Tensor, " loads"]) -> Prior:
        """The same rates for every load."""
        rates = self.logarithm.double().exp()
        return rates.expand(load.shape[0], -1), penalty(rates, self.weight), {}


class CombinedPrior(nn.Module):
    """The transitions of two priors, one after the other."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, load: Float[Tensor, " loads"]) -> Prior:
        """Both rates, and the sum of the penalties."""
        (first, one, _), (second, other, _) = self.first(load), self.second(load)
        return torch.cat((first, second), 1), one + other, {}


def penalty(rates: Float[Tensor, "*shape"], weight: float | None) -> Float[Tensor, ""]:
    """The weighted Frobenius norm, 0 without a weight; all rates of a chain are above 0."""
    return rates.new_zeros(()) if weight is None or not rates.numel() else weight * rates.norm()


def with_others(settings: ChainSettings, prior: nn.Module, known: Transitions, reach: int | None) -> Chain:
    """With a penalty, all transitions that the prior does not expect are there too, and rare to begin with."""
    if settings.penalty is None:
        return Chain(settings, prior, known)
    extra = all_others(births(known.states) + known, reach)
    others = Free(torch.full((len(extra.source),), _RARE), settings.penalty)
    return Chain(settings, CombinedPrior(prior, others), known + extra)
