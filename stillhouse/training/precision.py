"""Mixed precision that runs on every processor: one setting, one context."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Precision = Literal["32-true", "bf16-mixed"]


@contextmanager
def mixed(device: torch.device, precision: Precision) -> Iterator[None]:
    """Runs what is inside with autocast to bfloat16 if `precision` asks for it, as it stands otherwise.

    On a CPU an LSTM is computed in float32 there, in whichever model it stands: oneDNN has no bfloat16 kernel for it on
    processors without AVX-512, and a result should not depend on that.
    """
    with ExitStack() as stack:
        if precision == "bf16-mixed":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
            if device.type == "cpu":
                stack.enter_context(_LSTMInFloat32())
        yield


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
