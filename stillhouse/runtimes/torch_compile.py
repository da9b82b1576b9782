"""torch-compile: PyTorch's compiler, which writes code for this machine while it runs; its file is that of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Ask, Runtime
from stillhouse.runtimes.torch import save


def load(file: Path, program: Program) -> Ask:
    """Compiled at its first call. Raises UserError then, if this machine has no compiler for C++."""
    compiled = torch.compile(program.body, dynamic=True)

    def ask(values: Sequence[Leaf]) -> tuple[Tensor, ...]:
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            with torch.no_grad():
                return compiled(*values)
        except InvalidCxxCompiler:
            raise UserError("torch-compile - wanted a compiler for C++, such as g++ - this machine has none") from None

    return ask


RUNTIME = Runtime("model.safetensors", save, load, tolerance=1e-3)
