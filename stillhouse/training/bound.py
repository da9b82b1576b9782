"""Keeps a network that somebody else has described from taking the memory of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from stillhouse.contracts.errors import UserError

LEAST, TIMES = 2**31, 64
"""Parameters may take 2 GiB, or 64 times the file of weights: a student of somebody's own class begins as the whole network."""


@contextmanager
def parameters_within(most: int) -> Iterator[None]:
    """Networks made meanwhile may have parameters of `most` bytes in all.

    Raises UserError at the first parameter beyond that, which PyTorch has reserved but not yet filled.
    """
    taken = 0

    def count(module: nn.Module, name: str, parameter: Any) -> None:
        nonlocal taken
        taken += 0 if parameter is None else parameter.nbytes
        if taken > most:
            raise UserError(
                f"wanted parameters of at most {most} bytes - got {name} of {list(parameter.shape)} in a {type(module).__name__}"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
