"""Operations that ONNX Runtime lacks, in words that it has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def softplus(value: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """In double precision, which the runtime's own lacks; right to nearly all digits where it is next to nothing."""
    if value.dtype != torch.float64:
        return NotImplemented
    scaled = value if beta == 1 else beta * value
    small = (-scaled.abs()).exp()
    one = 1 + small
    found = scaled.clamp(min=0) + (one.log() - ((one - 1) - small) / one)  # the quotient is what rounding took from the logarithm
    return found if beta == 1 else found / beta


def remainder(value: Tensor, other: int | float | torch.SymInt) -> Any:
    """By a number that the question says, such as that of its relations, too."""
    if not isinstance(other, torch.SymInt):
        return NotImplemented
    return value.remainder(value.new_full((), other))  # type: ignore[arg-type]  # which knows symbols


WORDS = {torch.ops.aten.softplus.default: softplus, torch.ops.aten.remainder.Scalar: remainder}
