"""Splits that are drawn class by class."""

from __future__ import annotations

import numpy as np
import torch

from stillhouse.workloads.graphs._shared.nodes import NONE, Array


def check_shares(train: float, valid: float, rows: str) -> None:
    """Raises ValueError unless there are shares below 1 that leave some for the test, or whole numbers of `rows`."""
    if train < 1 and valid < 1 and train + valid >= 1:
        raise ValueError(f"wanted shares of train and valid that leave some for the test - got {train:g} and {valid:g}")
    if broken := [value for value in (train, valid) if value > 1 and value % 1]:
        raise ValueError(f"wanted train and valid as shares below 1, or as whole numbers of {rows} - got {broken[0]:g}")


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
