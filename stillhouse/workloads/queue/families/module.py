"""A network of one's own that knows no chain: any network from loads to logits of states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.queue.batch import QueueOutput

_LOADS = 5
"""Of the example."""


class AsStates(AsOutput):
    """A forward hook that makes a `QueueOutput` of logits."""

    def __call__(self, module: nn.Module, args: Any, returned: Any) -> QueueOutput:
        """Raises UserError if there are none."""
        return QueueOutput(log_softmax(self.predicted(module, returned).double(), -1), self.meaning)


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given are loads (loads, 1) in units of the mean training load; wanted are logits (loads, states), an empty queue first."""
    hook, shape = AsStates("classes", settings.prediction), (_LOADS, sizes["states"])
    return foreign.module(settings, (torch.zeros(_LOADS, 1),), architecture, hook, shape, column)


def column(network: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A forward pre-hook: loads (loads,) in the network's own precision, one under the other; a column as it is."""
    load = given[0]
    return (load.to(next(network.parameters()).dtype).unsqueeze(-1),) if load.dim() == 1 else given


FAMILY = Family(ModuleSettings, module)
