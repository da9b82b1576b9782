"""What a network of somebody else is traced on: two texts, of which the second one is filled up."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_TOKENS = 13


def example(sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, both (2, tokens)."""
    shape = (2, min(_TOKENS, sizes["length"]))
    mask = torch.ones(shape, dtype=torch.int64)
    mask[1, shape[1] // 2 :] = 0
    token = torch.randint(sizes["vocabulary"], shape, generator=torch.Generator().manual_seed(0)).where(mask == 1, sizes["pad"])
    return {"input_ids": token, "attention_mask": mask}
