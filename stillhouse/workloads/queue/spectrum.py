"""How slowly a walk forgets: the largest modulus of an eigenvalue of P other than 1."""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.workloads.queue.walk import Walk

_SQUARINGS = 20
_BLOCK = 50
_MOST_BLOCKS = 400
_TOLERANCE = 0.01


def second_modulus(walk: Walk, distribution: Tensor) -> Tensor:
    """(loads,), given the steady state (loads, states); the gap is 1 minus it, the time to forget about 1 / gap ticks."""
    return _by_squaring(walk.matrix, distribution) if walk.matrix is not None else _by_iteration(walk, distribution)


def _by_squaring(matrix: Tensor, distribution: Tensor) -> Tensor:
    """|(P - 1 pi)^n|^(1/n) for n = 2^20, which is never too small and too large by a factor of 1 + O(1/n)."""
    power = matrix - distribution.unsqueeze(-2)
    logarithm = power.new_zeros(len(power))
    for _ in range(_SQUARINGS):
        power = power @ power
        norm = torch.linalg.matrix_norm(power).clamp(min=1e-300)
        power, logarithm = power / norm[:, None, None], 2 * logarithm + norm.log()
    return (logarithm / 2**_SQUARINGS).exp()


def _by_iteration(walk: Walk, distribution: Tensor) -> Tensor:
    """The mean factor by which a block of ticks shrinks a centred value, once the gap it leaves changes by less than a hundredth.

    Sizes are measured under the steady state: what happens in states that are never reached takes long and does not matter.
    """
    place = torch.linspace(0, 3, walk.states, dtype=distribution.dtype, device=distribution.device)
    value = (place.cos() + (7 * place).sin()).expand_as(distribution)
    factor = distribution.new_zeros(len(distribution))
    for _ in range(_MOST_BLOCKS):
        value = value - (distribution * value).sum(-1, keepdim=True)
        value = value / _size(distribution, value)
        for _ in range(_BLOCK):
            value = walk.expect(value)
        before, factor = factor, _size(distribution, value).squeeze(-1) ** (1 / _BLOCK)
        if ((factor - before).abs() <= _TOLERANCE * (1 - factor)).all():
            break
    return factor


def _size(distribution: Tensor, value: Tensor) -> Tensor:
    return (distribution * value.square()).sum(-1, keepdim=True).clamp(min=1e-300).sqrt()
