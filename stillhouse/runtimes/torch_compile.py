"""torch-compile: PyTorch's compiler, which writes code for this machine while it runs; its file is that of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Ask, Runtime
from stillhouse.runtimes.torch import save
from stillhouse.training import machine


def load(file: Path, program: Program) -> Ask:
    """Compiled at its first call. Raises UserError then, if this machine has no compiler for C++."""
    compiled = torch.compile(program.body, dynamic=True)

    def ask(values: Sequence[Leaf]) -> tuple[Tensor, ...]:
        with torch.no_grad(), machine.telling_compiler("torch-compile"):
            return compiled(*values)

    return ask


RUNTIME = Runtime("model.safetensors", save, load, tolerance=1e-3)
