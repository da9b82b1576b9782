"""Which graphs are trained on, chosen by and tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.dealt import dealt
from stillhouse.workloads.graphs._shared.nodes import NONE, SPLITS, Array
from stillhouse.workloads.graphs.static_graphs.raw import Targets

_TRAIN, _VALID = SPLITS.index("train"), SPLITS.index("valid")


def drawn(label: Array, train: float, valid: float, rng: torch.Generator) -> Array:
    """(graphs,) places in SPLITS, class by class; graphs of no class are in none."""
    found = np.full(len(label), NONE)
    if (known := label != NONE).any():
        found[known] = dealt(label[known], train, valid, rng)
    return found


def with_valid(split: Array, label: Array, share: float, rng: torch.Generator) -> Array:
    """A published split, whose training graphs give a `share` of each class for validation if it has no graphs for that."""
    if (split == _VALID).any() or not (known := np.flatnonzero((split == _TRAIN) & (label != NONE))).size:
        return split
    parts, found = dealt(label[known], share, 0, rng), split.copy()
    found[known[parts == _TRAIN]] = _VALID
    return found


def check(targets: Targets, split: Array, raw: Path) -> None:
    """Raises UserError unless each split has graphs, all of known classes, and training has all of two classes or more."""
    for place, name in enumerate(SPLITS):
        if not (split == place).any():
            raise UserError(f"{raw} - wanted graphs in the split {name} - there are none")
    if targets.values is not None:
        return
    if len(targets.names) < 2:
        raise UserError(f"{raw} - wanted graphs of two classes at least - got {len(targets.names)}")
    if len(unknown := np.flatnonzero((split != NONE) & (targets.label == NONE))):
        raise UserError(f"{raw}, graph {unknown[0]} - wanted a class of each graph in a split - there is none")
    missing = sorted(set(range(len(targets.names))) - set(targets.label[split == _TRAIN].tolist()))
    if missing:
        raise UserError(f"{raw} - wanted training graphs of each class - there is none of {targets.names[missing[0]]!s:.100}")
