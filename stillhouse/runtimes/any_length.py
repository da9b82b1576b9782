"""Whether a program answers for questions of any length, where the class of its batches names the axes and numbers that have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.runtimes import leaves
from stillhouse.runtimes.leaves import Leaf

_WANTED = "wanted a network that answers for graphs and questions of any size"
_REMEDY = "len(tensor) and one_hot(tensor, number) fix it: take tensor.shape[0], and tensor[:, None] == arange(number)"


def whole(batch: Any) -> bool:
    """Whether none of these lengths is 0 or 1, of which PyTorch's exporter makes constants."""
    axes = getattr(batch, "any_length", {})
    return all(value.shape[axis] > 1 for name, value in leaves.of(batch) if isinstance(value, Tensor) for axis in axes.get(name, ()))


def require(exported: torch.export.ExportedProgram, ask: Callable[..., tuple[Tensor, ...]], inputs: Mapping[str, Leaf], other: Any) -> None:
    """Asks a program and what it was captured of about a batch of `other` lengths. Raises UserError if they do not answer alike."""
    values = [dict(leaves.of(other))[name] for name in inputs]
    with torch.no_grad():
        wanted = ask(*values)
        try:
            found = exported.module()(*values)
        except (RuntimeError, IndexError, AssertionError) as error:
            raise UserError(f"{_WANTED} - its exported program fails for another size: {_REMEDY}") from error
    if any(one.shape != two.shape or not torch.allclose(one, two, rtol=1e-4, atol=1e-5) for one, two in zip(found, wanted, strict=True)):
        raise UserError(f"{_WANTED} - its exported program answers otherwise for another size: {_REMEDY}")
