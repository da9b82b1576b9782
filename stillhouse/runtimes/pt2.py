"""pt2: PyTorch's own exported program, which PyTorch runs without this library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Ask, Runtime


def save(program: Program, file: Path, calibration: Iterable[Sequence[Leaf]]) -> None:
    """Through `torch.export.save`."""
    torch.export.save(program.exported, file)


def load(file: Path, program: Program) -> Ask:
    """Through `torch.export.load`."""
    module = torch.export.load(file).module()

    def ask(values: Sequence[Leaf]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(module(*values))

    return ask


RUNTIME = Runtime("model.pt2", save, load, tolerance=1e-3)
