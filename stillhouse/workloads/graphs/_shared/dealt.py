"""Splits that are drawn class by class."""

from __future__ import annotations

import numpy as np
import torch

from stillhouse.workloads.graphs._shared.nodes import NONE, Array


def dealt(label: Array, train: float, valid: float, rng: torch.Generator) -> Array:
    """(rows,) places in SPLITS: of the rows of each class a share below 1, or so many, at random; all others are test rows."""
    found = np.full(len(label), NONE)
    for number in range(int(label.max()) + 1):
        rows = np.flatnonzero(label == number)
        rows = rows[torch.randperm(len(rows), generator=rng).numpy()]
        first = _count(train, len(rows))
        second = first + _count(valid, len(rows))
        for place, part in enumerate((rows[:first], rows[first:second], rows[second:])):
            found[part] = place
    return found


def _count(wanted: float, rows: int) -> int:
    return max(1, int(wanted * rows)) if wanted < 1 else int(wanted)
