"""torch: PyTorch itself, as in this library; what the others are held against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Ask, Runtime
from stillhouse.training import tensors


def save(program: Program, file: Path, calibration: Iterable[Sequence[Leaf]]) -> None:
    """The weights."""
    tensors.write(file, program.body.network.state_dict())


def load(file: Path, program: Program) -> Ask:
    """The network as it is in memory."""

    def ask(values: Sequence[Leaf]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return program.body(*values)

    return ask


RUNTIME = Runtime("model.safetensors", save, load, tolerance=0.0)
