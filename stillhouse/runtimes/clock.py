"""How long a network takes on a runtime: what a budget in milliseconds is measured with."""

from __future__ import annotations

import copy
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.parts import Task
from stillhouse.contracts.runtime import Clock, Name
from stillhouse.runtimes.program import capture
from stillhouse.runtimes.table import RUNTIMES
from stillhouse.training.latency import least
from stillhouse.training.machine import move

ROUNDS, SECONDS = 30, 1.0
_CPU = torch.device("cpu")


def clock(task: Task[Any], example: Any, *, runtime: Name, threads: int) -> Clock:
    """Times copies of networks on the CPU with one batch; of several calls the fastest counts.

    The clock raises UserError if the runtime is not installed or cannot run a network.
    """
    batch = move(example, _CPU)

    def milliseconds(model: nn.Module) -> float:
        with with_threads(threads), opened(task, copy.deepcopy(model).to(_CPU).eval(), batch, runtime) as call:
            return least(call, rounds=ROUNDS, seconds=SECONDS, threads=threads)

    return Clock(milliseconds, {"runtime": runtime, "threads": threads, **_surroundings()})


@contextmanager
def opened(task: Task[Any], model: nn.Module, batch: Any, runtime: Name) -> Iterator[Callable[[], object]]:
    """What asks a network on a runtime for the batch, for the time of a block. Raises UserError if the runtime cannot run it."""
    if runtime == "torch":  # which runs what cannot be captured, too
        yield lambda: _asked(task, model, batch)
        return
    program, chosen = capture(task, model, [batch]), RUNTIMES[runtime]
    values = program.values(batch)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / chosen.file
        chosen.save(program, file, [values])
        ask = chosen.load(file, program)
        yield lambda: ask(values)


def _asked(task: Task[Any], model: nn.Module, batch: Any) -> object:
    with torch.no_grad():
        return task.apply(model, batch)


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """PyTorch, and a runtime that is opened meanwhile, compute with so many threads for the time of a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _surroundings() -> dict[str, str]:
    return {"processor": _processor(), "torch": torch.__version__, "onnxruntime": _version("onnxruntime")}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    """As the system names it, with what of its instructions decides how wide its sums are."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
