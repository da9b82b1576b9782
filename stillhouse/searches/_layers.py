"""Which layers are linear maps, in whatever library."""

from __future__ import annotations

from torch import Tensor, nn


def is_linear(module: nn.Module) -> bool:
    """PyTorch's own, and those of the same name and weight, (outputs, inputs), that PyTorch Geometric has."""
    weight = getattr(module, "weight", None)
    return isinstance(module, nn.Linear) or (type(module).__name__ == "Linear" and isinstance(weight, Tensor) and weight.dim() == 2)
