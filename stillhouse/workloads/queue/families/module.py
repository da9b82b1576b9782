"""A network of one's own: any network from loads to logits of states, or to the rates at which jobs leave, of which a chain is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softplus

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.queue.batch import QueueOutput
from stillhouse.workloads.queue.chain import LEAST
from stillhouse.workloads.queue.gradients import GradientSettings, Infinity, steady_state
from stillhouse.workloads.queue.walk import births, deaths

_LOADS = 5
"""Of the example."""


class QueueSettings(ModuleSettings):
    """`jobs` is how many may leave at once in the chain whose rates the network says; None: it says the states, and there is no chain."""

    jobs: int | None = Field(None, gt=0)
    gradient: GradientSettings = Infinity(stop=None)


@dataclass(frozen=True, kw_only=True)
class AsStates(AsOutput):
    """A forward hook that makes a `QueueOutput` of what a network returns for a column of loads."""

    states: int
    jobs: int | None
    gradient: GradientSettings

    def __call__(self, module: nn.Module, args: Any, returned: Any) -> QueueOutput:
        """Raises UserError if there is no such tensor in it."""
        found = self.predicted(module, returned).double()
        if self.jobs is None:
            return QueueOutput(log_softmax(found, -1), self.meaning)
        arriving = args[0].double().expand(-1, self.states - 1)
        every = (births(self.states) + deaths(self.states, self.jobs)).to(found.device)
        steady = steady_state(torch.cat((arriving, softplus(found)), 1), every, self.gradient)
        return QueueOutput(steady.clamp(min=LEAST).log(), self.meaning)


def module(settings: QueueSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given are loads (loads, 1) in units of the mean training load.

    Wanted are logits (loads, states), an empty queue first; or numbers (loads, transitions), whose softplus are rates in the same unit:
    one job leaves of 1, 2, ... in the queue, then two leave of 2, 3, ..., and so on.
    """
    chain: dict[str, Any] = {"states": sizes["states"], "jobs": settings.jobs, "gradient": settings.gradient}
    hook = AsStates("classes", settings.prediction, **chain)
    return foreign.module(settings, (torch.zeros(_LOADS, 1),), architecture, hook, (_LOADS, sizes["states"]), column)


def column(network: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A forward pre-hook: loads (loads,) in the network's own precision, one under the other; a column as it is."""
    load = given[0]
    return (load.to(next(network.parameters()).dtype).unsqueeze(-1),) if load.dim() == 1 else given


FAMILY = Family(QueueSettings, module)
