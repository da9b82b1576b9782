"""In what a step of a training is computed: precisions that run on every processor, and compiled steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from stillhouse.training import machine

Precision = Literal["32-true", "tf32", "bf16-mixed"]


@contextmanager
def mixed(device: torch.device, precision: Precision) -> Iterator[None]:
    """Runs what is inside with autocast to bfloat16, or products of single precision in TF32 on CUDA, if `precision` asks for it.

    A CPU computes single precision in either case. An LSTM is computed in float32 there, in whichever model it stands: oneDNN has no
    bfloat16 kernel for it on processors without AVX-512, and a result should not depend on that.
    """
    with ExitStack() as stack:
        stack.enter_context(_tf32(precision == "tf32"))
        if precision == "bf16-mixed":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
            if device.type == "cpu":
                stack.enter_context(_LSTMInFloat32())
        yield


def compiled(objective: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function as PyTorch's compiler makes it, at its first call. Raises UserError then, if there is no compiler for C++."""
    made = torch.compile(objective)

    def run(*of_batch: Any) -> Tensor:
        with machine.telling_compiler("fit.compile"):
            return made(*of_batch)

    return run


@contextmanager
def _tf32(wanted: bool) -> Iterator[None]:
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = wanted
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


class _LSTMInFloat32(TorchFunctionMode):
    """Sees every call of PyTorch and changes the one that all LSTM layers, foreign ones too, come down to."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is not torch.lstm:
            return func(*args, **(kwargs or {}))
        with torch.autocast("cpu", enabled=False):
            return func(*_upcast(args), **_upcast(kwargs or {}))


def _upcast(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, tuple | list):
        return type(value)(_upcast(item) for item in value)
    if isinstance(value, dict):
        return {name: _upcast(item) for name, item in value.items()}
    return value
