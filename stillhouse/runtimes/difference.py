"""How far a runtime's answers are from PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from stillhouse.contracts.data import Batches
from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Ask
from stillhouse.training.score import EVALUATION_SEED

CALIBRATION = 8
"""Training batches whose ranges an eight-bit program is made for."""


def largest(program: Program, ask: Ask, batches: Batches[Any]) -> float:
    """The largest difference from PyTorch over a split, as a share of an output's largest number; infinite where there is no number."""
    gaps, sizes = [0.0] * len(program.outputs), [0.0] * len(program.outputs)
    for batch in batches.draw(torch.Generator().manual_seed(EVALUATION_SEED)):
        values = program.values(batch)
        with torch.no_grad():
            wanted = program.body(*values)
        for place, (one, other) in enumerate(zip(wanted, ask(values), strict=True)):
            gaps[place] = max(gaps[place], _gap(one, other))
            sizes[place] = max(sizes[place], float(one.abs().max()) if one.numel() else 0.0)
    return max(gap / (size or 1.0) for gap, size in zip(gaps, sizes, strict=True))


def told(runtime: str, gap: float, limit: float) -> str:
    """The sentence for a difference above a tolerance."""
    wanted = f"wanted answers within {limit:g} of PyTorch's on the validation split, as a share of the largest"
    return f"{runtime} - {wanted} - got {gap:.3g}"


def calibration(program: Program, train: Batches[Any], rng: torch.Generator) -> Iterator[Sequence[Leaf]]:
    """The inputs of some training batches."""
    return (program.values(batch) for batch in itertools.islice(train.draw(rng), CALIBRATION))


def _gap(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape or not other.isfinite().all():
        return float("inf")
    return float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
