"""The processes that train one network together, one for each device: what they tell one another.

Where there is one process alone, which is the rule, nothing here does anything. The library underneath is torch.distributed: gloo
between CPUs, NCCL between CUDA devices.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Feature, Output

PATIENCE = timedelta(days=1)
"""How long one process waits for the others, which may validate for hours; whoever started them sees that none has ended."""
Value = TypeVar("Value")


def count() -> int:
    """How many processes train together; 1 where this one is alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Whether this is the one that writes."""
    return number() == 0


@contextmanager
def joined(meeting: Path, number: int, count: int, device: torch.device) -> Iterator[None]:
    """This process as one of `count`, which find one another by the file `meeting` that is not there yet."""
    if sys.platform == "linux":  # one machine: nothing is heard outside of it, and no name must be resolved
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, init_method=f"file://{meeting.resolve()}", rank=number, world_size=count, timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def from_first(value: Value) -> Value:
    """What the first process has for `value`: decisions are one's, and follow from nothing that differs between devices."""
    if count() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, 0)
    return held[0]


def require_same(what: str, value: object) -> None:
    """Raises UserError, in each process, unless all have the same `value`."""
    values: list[Any] = [value] * count()
    if count() > 1:
        dist.all_gather_object(values, value)
    if any(other != values[0] for other in values):
        raise UserError(f"the {count()} devices of this training do not have the same {what}: run the stage again")


@torch.no_grad()
def add_up(tensors: Sequence[Tensor]) -> None:
    """Puts the sum over all processes in the place of each tensor, with one message for all of a kind."""
    if count() == 1:
        return
    for kind in sorted({tensor.dtype for tensor in tensors}, key=str):
        same = [tensor for tensor in tensors if tensor.dtype == kind]
        flat = torch.cat([tensor.reshape(-1) for tensor in same])
        dist.all_reduce(flat)
        for tensor, part in zip(same, flat.split([tensor.numel() for tensor in same]), strict=True):
            tensor.copy_(part.view_as(tensor))


def total(value: Tensor) -> Tensor:
    """The sum over all processes, through which gradients pass."""
    return _Total.apply(value) if count() > 1 else value


class _Total(torch.autograd.Function):
    """What is minimised is the sum of what all processes have, so a gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        result = value.clone()
        dist.all_reduce(result)
        return result

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


def gathered(value: Tensor, axis: int = 0) -> Tensor:
    """The parts of all processes, one after the other along an axis, through which gradients pass."""
    if count() == 1:
        return value
    moved = value.movedim(axis, 0)
    lengths = torch.zeros(count(), dtype=torch.long)  # on the CPU: no device is waited for
    lengths[number()] = len(moved)
    dist.all_reduce(lengths)
    sizes: list[int] = lengths.tolist()
    before = sum(sizes[: number()])
    whole = moved.new_zeros(sum(sizes), *moved.shape[1:])
    return total(torch.cat((whole[:before], moved, whole[before + len(moved) :]))).movedim(0, axis)


class _Features(Mapping[str, Feature]):
    """Features of a whole batch, gathered when they are asked for: most losses look at one of many."""

    def __init__(self, own: Mapping[str, Feature]) -> None:
        self._own = own

    def __getitem__(self, name: str) -> Feature:
        feature = self._own[name]
        return feature if feature.layout.batch is None else replace(feature, value=gathered(feature.value, feature.layout.batch))

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


def whole(output: Output) -> Output:
    """An output for the whole batch, of which each process has a part."""
    return Output(gathered(output.prediction), output.meaning, _Features(output.features))


def digest(model: nn.Module) -> str:
    """A text that differs where weights do."""
    return repr(float(torch.stack([value.detach().double().sum() for value in model.parameters()]).sum()))
