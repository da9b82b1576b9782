"""What all layers know of runtimes: their names, and what measures milliseconds on one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import nn

    from stillhouse.contracts.parts import Task

Name = Literal["torch", "torch-compile", "onnx", "onnx-int8", "pt2"]


@dataclass(frozen=True)
class Clock:
    """`milliseconds` of one call of a network; `facts` are what the time depends on beside the network and the batch."""

    milliseconds: Callable[[nn.Module], float]
    facts: Mapping[str, Any]


class MakeClock(Protocol):
    """Makes the clock of a runtime."""

    def __call__(self, task: Task[Any], example: Any, *, runtime: Name, threads: int) -> Clock:
        """Times calls with `example`, a batch. The clock raises UserError if the runtime is not installed or cannot run a network."""
