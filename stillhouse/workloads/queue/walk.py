"""The permitted transitions of a finite chain, and the discrete walk that has the chain's steady state (uniformisation)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError

DENSE = 64
"""Up to so many states matrices are as fast as lists of transitions, or faster."""
_SLACK = 1e-3
"""How much faster than the busiest state the clock ticks: above 0, so that the walk is not periodic, and small, because it slows mixing."""


@dataclass(frozen=True, eq=False)
class Transitions:
    """Which state may follow which: `source` and `target` are (transitions,), the rates go beside them.

    `jumps`, where it is known, says over how many states they lead: one number for each run of all that lead so far, by their source.
    """

    states: int
    source: Tensor
    target: Tensor
    jumps: tuple[int, ...] | None = None

    def __add__(self, other: Transitions) -> Transitions:
        """Both lists, one after the other."""
        source, target = torch.cat((self.source, other.source)), torch.cat((self.target, other.target))
        jumps = None if self.jumps is None or other.jumps is None else self.jumps + other.jumps
        return Transitions(self.states, source, target, jumps)

    def to(self, device: torch.device) -> Transitions:
        """The lists on a device."""
        return replace(self, source=self.source.to(device), target=self.target.to(device))

    def matrix(self, values: Tensor) -> Tensor:
        """(..., transitions) -> (..., states, states); values of one place are added."""
        flat = values.new_zeros(*values.shape[:-1], self.states**2)
        return flat.index_add(-1, self.source * self.states + self.target, values).unflatten(-1, (self.states, self.states))


def births(states: int) -> Transitions:
    """Each state but the last to the next one."""
    source = torch.arange(states - 1)
    return Transitions(states, source, source + 1, (1,))


def deaths(states: int, most: int) -> Transitions:
    """Downward by 1, then by 2, up to `most` states at once."""
    jumps = range(1, min(most, states - 1) + 1)
    source = torch.cat([torch.arange(jump, states) for jump in jumps])
    jump = torch.cat([torch.full((states - jump,), jump) for jump in jumps])
    return Transitions(states, source, source - jump, tuple(-step for step in jumps))


def all_others(known: Transitions, reach: int | None) -> Transitions:
    """Every transition over at most `reach` states (None: any) that `known` lacks."""
    states, farthest = known.states, min(reach or known.states, known.states - 1)
    jump = torch.cat((torch.arange(-farthest, 0), torch.arange(1, farthest + 1)))
    source = torch.arange(states).repeat_interleave(len(jump))
    target = source + jump.repeat(states)
    within = (target >= 0) & (target < states)
    code, taken = (source * states + target)[within], known.source * states + known.target
    code = code[~torch.isin(code, taken)]
    return Transitions(states, code // states, code % states)


@dataclass(frozen=True, eq=False)
class Walk:
    """P = I + Q / gamma for several loads at once; `rates` are (loads, transitions), in double precision.

    The steady state does not depend on gamma, so gamma is a constant to every gradient.
    """

    transitions: Transitions
    rates: Tensor
    dense: bool | None = None
    """Whether P is held as a matrix; None decides by the number of states."""

    @property
    def states(self) -> int:
        """Number of states."""
        return self.transitions.states

    @cached_property
    def gamma(self) -> Tensor:
        """(loads, 1): ticks of the clock in a unit of time."""
        leaving = self.rates.new_zeros(self.rates.shape[0], self.states).index_add(1, self.transitions.source, self.rates)
        return (1 + _SLACK) * leaving.amax(1, keepdim=True)

    @cached_property
    def matrix(self) -> Tensor | None:
        """P, (loads, states, states), if it is held."""
        if not (self.states <= DENSE if self.dense is None else self.dense):
            return None
        jumps = self.transitions.matrix(self._shares)
        return jumps + torch.diag_embed(1 - jumps.sum(-1))

    @cached_property
    def _shares(self) -> Tensor:
        return self.rates / self.gamma

    def expect(self, value: Tensor) -> Tensor:
        """P v: what a function of the state, (loads, states), is worth one tick ahead."""
        if self.matrix is not None:
            return torch.bmm(self.matrix, value.unsqueeze(-1)).squeeze(-1)
        source, target = self.transitions.source, self.transitions.target
        return value.index_add(1, source, self._shares * (value[:, target] - value[:, source]))

    def advance(self, distribution: Tensor) -> Tensor:
        """u P: a distribution over states, (loads, states), one tick later."""
        if self.matrix is not None:
            return torch.bmm(distribution.unsqueeze(-2), self.matrix).squeeze(-2)
        source, target = self.transitions.source, self.transitions.target
        moved = self._shares * distribution[:, source]
        return distribution.index_add(1, source, -moved).index_add(1, target, moved)

    def gradient(self, distribution: Tensor, value: Tensor) -> Tensor:
        """The derivative of u P v by the rates, (loads, transitions): u_i (v_j - v_i) / gamma for a transition from i to j."""
        source, target = self.transitions.source, self.transitions.target
        return distribution[:, source] * (value[:, target] - value[:, source]) / self.gamma


def require_rates(rates: Tensor) -> None:
    """Raises UserError unless all rates are finite, none is negative and some transition happens under each load.

    A program that is exported has no way to raise it, and goes without.
    """
    if torch.compiler.is_exporting():
        return
    if not (torch.isfinite(rates).all() and (rates >= 0).all() and (rates.amax(1) > 0).all()):
        low, high = rates.min().item(), rates.max().item()
        raise UserError(f"a chain wants finite rates from 0 with one above 0 - got rates between {low:.3g} and {high:.3g}")
