"""What a network of somebody else is traced on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_TOKENS = 13


def example(sizes: Mapping[str, int]) -> Tensor:
    """Tokens (2, tokens), int64."""
    shape = (2, min(_TOKENS, sizes["context"]))
    return torch.randint(sizes["vocabulary"], shape, generator=torch.Generator().manual_seed(0))
