"""PyTorch's optimisers without its compiler: their methods import all of `torch._dynamo` when first called, to tell it to leave them out.

To import it takes about as long as the rest of PyTorch, in every process that trains. The mathematics is PyTorch's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch.optim import Optimizer

_MARKED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""The methods that PyTorch marks for its compiler."""


def _uncompiled(kind: type[Optimizer]) -> type[Optimizer]:
    """The same optimiser with the functions that its marks are around; hooks and profiles of steps are added again when it is made."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": _uncompiled(torch.optim.Adam),
    "adamw": _uncompiled(torch.optim.AdamW),
    "sgd": _uncompiled(torch.optim.SGD),
}
"""By the name that `fit: {optimizer: ...}` gives them."""
