"""The steady state by sums, products and quotients alone, which every runtime has.

No difference is taken, so even the rarest state is right to nearly all digits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.workloads.queue.walk import DENSE, Walk


def eliminated(walk: Walk) -> Tensor | None:
    """(loads, states); None for a long list of transitions, and for states that do not all lead to each other."""
    ladder = walk.transitions.jumps == (1, -1)
    if not ladder and walk.states > DENSE:
        return None
    found = _of_ladder(walk) if ladder else _of_all(walk)
    return found if torch.compiler.is_exporting() or found.isfinite().all() else None


def _of_ladder(walk: Walk) -> Tensor:
    """A state is to the one below it as the rate up is to the rate down."""
    up, down = walk.rates.split(walk.states - 1, 1)
    logarithm = (up / down).log().cumsum(1)
    return torch.cat((torch.zeros_like(logarithm[:, :1]), logarithm), 1).softmax(1)


def _of_all(walk: Walk) -> Tensor:
    """From the last state to the second each is taken out, and who came through it goes on directly (Grassmann, Taksar and Heyman 1985)."""
    jumps, shares = walk.transitions.matrix(walk.rates), []
    for last in range(walk.states - 1, 0, -1):
        leaving = jumps[:, last, :last]
        shares.append(jumps[:, :last, last] / leaving.sum(1, keepdim=True))
        jumps = jumps[:, :last, :last] + shares[-1].unsqueeze(2) * leaving.unsqueeze(1)
    found = torch.ones_like(walk.rates[:, :1])
    for share in reversed(shares):
        found = torch.cat((found, (found * share).sum(1, keepdim=True)), 1)
        found = found / found.sum(1, keepdim=True)
    return found
