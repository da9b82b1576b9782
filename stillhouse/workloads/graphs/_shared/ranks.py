"""Where true answers stand among the candidates that they are scored with."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(scores: Tensor) -> Tensor:
    """Rank of candidate 0 in each row of (queries, candidates): the mean of its best and its worst rank among ties.

    NaN counts as the least score.
    """
    scores = scores.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    true, false = scores[:, :1], scores[:, 1:]
    return 1 + (false > true).sum(1) + (false == true).sum(1) / 2
