"""Small chains with known steady states."""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.workloads.queue.simulate import birth_death
from stillhouse.workloads.queue.walk import Transitions, Walk, all_others, births

STATES = 20


def queue(loads: list[float] | Tensor, rates: list[float] | Tensor, servers: int = 1, states: int = STATES) -> Walk:
    """Under some loads; gradients flow to `rates`."""
    return birth_death(torch.as_tensor(loads, dtype=torch.float64), torch.as_tensor(rates, dtype=torch.float64), servers, states)


def random_walk(seed: int, states: int, loads: int = 2, spread: float = 2.0) -> Walk:
    """Every transition is possible, at rates between e^-spread and e^spread."""
    nothing = Transitions(states, torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long))
    every = births(states) + all_others(births(states), None) + nothing
    rng = torch.Generator().manual_seed(seed)
    rates = torch.exp(spread * (2 * torch.rand(loads, len(every.source), generator=rng, dtype=torch.float64) - 1))
    return Walk(every, rates)
