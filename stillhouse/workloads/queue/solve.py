"""The steady state of a walk and the sum over its whole future, each by one linear solve: matrices where states are few, else sparse LU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.queue.walk import Walk

_RESTARTS = 1e-9
"""Share of ticks after which the sparse solve's walk starts anew: it makes the matrix regular, and is refined away."""
_REFINEMENTS = 100
_FACTORISE: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
"""The diagonal outweighs the rest of each row, so rows need not be exchanged."""
_SINGULAR = 1e-14
_STILL = 1e-12
_BLOCK, _MOST_BLOCKS = 100, 1000


def followed(walk: Walk) -> Tensor:
    """The steady state, (loads, states), by following the walk from a uniform start until it stands still.

    Raises UserError if it does not within a hundred thousand ticks.
    """
    state = walk.rates.new_full((walk.rates.shape[0], walk.states), 1 / walk.states)
    for _ in range(_MOST_BLOCKS):
        before = state
        for _ in range(_BLOCK):
            state = walk.advance(state)
        if (state - before).abs().sum(-1).max() < _STILL:
            return state / state.sum(-1, keepdim=True)
    raise UserError(f"a steady state wants a walk that stands still after {_BLOCK * _MOST_BLOCKS} ticks, got one that does not: use solve")


@dataclass(frozen=True, eq=False)
class Solver:
    """One factorisation serves both solves."""

    walk: Walk

    def stationary(self) -> Tensor:
        """pi with pi P = pi, (loads, states). Raises UserError if the dense solve finds more than one."""
        found = self._dense_stationary() if self.walk.matrix is not None else self._sparse_stationary()
        found = found.clamp(min=0)
        return found / found.sum(-1, keepdim=True)

    def future(self, distribution: Tensor, value: Tensor) -> Tensor:
        """y = v + P v + P^2 v + ..., up to a constant, of a value whose mean under `distribution` (the steady state) is 0."""
        if self.walk.matrix is not None:
            return torch.linalg.lu_solve(*self._dense, value.unsqueeze(-1)).squeeze(-1)
        return self._sparse_future(distribution, value)

    @cached_property
    def _dense(self) -> tuple[Tensor, Tensor]:
        """LU of I - P + 1 u with u = 1 / states, whose inverse is the deviation matrix but for a constant."""
        matrix = self.walk.matrix
        assert matrix is not None
        regular = torch.eye(self.walk.states, dtype=matrix.dtype, device=matrix.device) - matrix + 1 / self.walk.states
        factors, pivots, _ = torch.linalg.lu_factor_ex(regular)
        least = factors.diagonal(dim1=-2, dim2=-1).abs().min()
        if not least > _SINGULAR:
            raise UserError(
                f"a steady state wants a chain whose {self.walk.states} states all lead to one set of states - there are two sets "
                f"that cannot be left, or rates too far apart to tell (a pivot of {least.item():.2g})"
            )
        return factors, pivots

    def _dense_stationary(self) -> Tensor:
        uniform = self.walk.rates.new_full((self.walk.rates.shape[0], self.walk.states, 1), 1 / self.walk.states)
        return torch.linalg.lu_solve(*self._dense, uniform, adjoint=True).squeeze(-1)

    @cached_property
    def _sparse(self) -> list[Any]:
        """LU of (r + 1) I - P for each load, with r the rate of restarts."""
        return list(self._factors())

    def _factors(self) -> Iterator[Any]:
        from scipy.sparse import csc_array, identity
        from scipy.sparse.linalg import splu

        states, transitions = self.walk.states, self.walk.transitions
        source, target = transitions.source.numpy(force=True), transitions.target.numpy(force=True)
        for shares in (self.walk.rates / self.walk.gamma).numpy(force=True):
            jumps = csc_array((shares, (source, target)), shape=(states, states))
            leaving = csc_array((jumps.sum(axis=1), (np.arange(states), np.arange(states))), shape=(states, states))
            yield splu((_RESTARTS * identity(states) + leaving - jumps).tocsc(), **_FACTORISE)

    def _sparse_stationary(self) -> Tensor:
        found = np.full((len(self.walk.rates), self.walk.states), 1 / self.walk.states)
        for row, factor in zip(found, self._sparse, strict=True):
            for _ in range(_REFINEMENTS):
                before = row.copy()
                row[:] = factor.solve(row, trans="T")
                row /= row.sum()
                if np.abs(row - before).sum() < 1e-14:
                    break
        return torch.from_numpy(found).to(self.walk.rates.device)

    def _sparse_future(self, distribution: Tensor, value: Tensor) -> Tensor:
        rows, means = value.numpy(force=True), distribution.numpy(force=True)
        found = np.zeros_like(rows)
        for row, wanted, mean, factor in zip(found, rows, means, self._sparse, strict=True):
            for _ in range(_REFINEMENTS):
                before = row.copy()
                row[:] = factor.solve(wanted + _RESTARTS * row)
                row -= mean @ row
                if np.abs(row - before).max() <= 1e-13 * np.abs(row).max():
                    break
        return torch.from_numpy(found).to(value.device)
