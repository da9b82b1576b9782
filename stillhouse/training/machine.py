"""This machine as the environment describes it: the seed's generator, the device, the workers. None of it is a setting."""

from __future__ import annotations

import dataclasses
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy
import torch

from stillhouse.contracts.errors import UserError

_NO_MEMORY = re.compile("can't allocate memory|[Ss]torage size calculation overflow|multiplication overflow|size too big|invalid size")


def seed(value: int) -> torch.Generator:
    """Seeds the global generators of Python, NumPy and PyTorch; returns the generator (CPU) that a verb is given."""
    random.seed(value)
    numpy.random.seed(value % 2**32)
    torch.manual_seed(value)
    return torch.Generator().manual_seed(value)


def device() -> torch.device:
    """Where models and batches lie: `STILLHOUSE_DEVICE`, by default the first CUDA device, else the CPU."""
    wanted = os.environ.get("STILLHOUSE_DEVICE", "auto")
    if wanted == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", wanted):
        raise UserError(f"STILLHOUSE_DEVICE should be auto, cpu, cuda or cuda:<number> - got {wanted!r}")
    chosen = torch.device(wanted)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UserError(f"STILLHOUSE_DEVICE is {wanted!r}, but this process sees {torch.cuda.device_count()} CUDA devices")
    return chosen


def require(count: int, setting: str = "fit.devices") -> None:
    """Raises UserError, naming the setting, unless there are so many devices, from `device` on; on CPUs they are processes."""
    chosen, wanted = device(), os.environ.get("STILLHOUSE_DEVICE", "auto")
    if chosen.type == "cuda" and ":" in wanted:
        raise UserError(f"STILLHOUSE_DEVICE - wanted cuda, without a number, where {setting} is {count} - got {wanted}")
    if chosen.type == "cuda" and torch.cuda.device_count() < count:
        raise UserError(f"{setting} - wanted {count} CUDA devices - this process sees {torch.cuda.device_count()}: lower it")


def device_name() -> str:
    """The device in words, for the record of a run."""
    chosen = device()
    return f"{chosen} {torch.cuda.get_device_name(chosen)}" if chosen.type == "cuda" else str(chosen)


def move(batch: Any, device: torch.device) -> Any:
    """A batch on a device: whatever has `to`, and tuples (named ones too), lists,
    dictionaries and dataclasses of such things; numbers and text as they are."""
    return _each(batch, "to", lambda part: part.to(device, non_blocking=True))


def pinned(batch: Any) -> Any:
    """A batch in memory from which a CUDA device copies by itself: whatever has `pin_memory`, and what holds such things, as in `move`."""
    return _each(batch, "pin_memory", lambda part: part.pin_memory())


def _each(batch: Any, method: str, change: Callable[[Any], Any]) -> Any:
    def inner(value: Any) -> Any:
        return _each(value, method, change)

    if hasattr(batch, method):
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: inner(value) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_make"):
        return batch._make(map(inner, batch))
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = [field for field in dataclasses.fields(batch) if field.init]
        return dataclasses.replace(batch, **{field.name: inner(getattr(batch, field.name)) for field in fields})
    if isinstance(batch, tuple | list):
        return type(batch)(map(inner, batch))
    return batch


@contextmanager
def telling_memory() -> Iterator[None]:
    """Turns what PyTorch and Python say when memory is short, on any device, into one sentence. Raises UserError."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        wanted = re.search(r"allocate (\d+ bytes|[\d.]+ [KMGT]iB)", str(error))
        amount = f" for {wanted[1]} at once" if wanted else ""
        raise UserError(f"the memory of {device()} does not suffice{amount}: lower the batch sizes, or the widths of the model") from error


@contextmanager
def telling_compiler(wanted_by: str) -> Iterator[None]:
    """Turns what PyTorch's compiler says where this machine has none for C++ into one sentence. Raises UserError."""
    from torch._inductor.exc import InvalidCxxCompiler  # imports all of the compiler

    try:
        yield
    except InvalidCxxCompiler:
        raise UserError(f"{wanted_by} - wanted a compiler for C++, such as g++ - this machine has none") from None


def use_threads(count: int) -> None:
    """Lets PyTorch compute with so many CPU threads: their number decides the order of sums, and so the last digits."""
    torch.set_num_threads(count)


def use_deterministic(wanted: bool) -> None:
    """Lets PyTorch use only algorithms that give the same bits every time, or any; to be said before CUDA is first used.

    In either case single precision is what it says, but within a training that asks for another one.
    """
    if wanted:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # else cuBLAS may choose another order of sums in each stream
    if wanted != torch.are_deterministic_algorithms_enabled():  # to say it imports PyTorch's compiler, as long again as PyTorch itself
        torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # else convolutions, unlike all else, are in TF32 where nothing asks for it


@contextmanager
def telling_deterministic() -> Iterator[None]:
    """Turns PyTorch's complaint that an operation has no deterministic algorithm into one sentence. Raises UserError."""
    try:
        yield
    except RuntimeError as error:
        if not (found := re.search(r"(\S+) does not have a deterministic implementation", str(error))):
            raise
        wanted = "use the CPU, or say false"
        raise UserError(f"params.yaml: deterministic - {found[1]} has no deterministic algorithm on {device()}: {wanted}") from error
