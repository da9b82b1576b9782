"""Which nodes are trained on, chosen by and tested on, and which of the test nodes nobody sees before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.nodes import NONE, SPLITS, Array
from stillhouse.workloads.graphs._shared.one_graph.graph import Graph


def check(graph: Graph, split: Array, raw: Path) -> None:
    """Raises UserError unless there are two classes, each among the training nodes, and each split has nodes, all of known classes."""
    if len(graph.names) < 2:
        raise UserError(f"{raw} - wanted nodes of two classes at least - got {len(graph.names)}")
    for place, name in enumerate(SPLITS):
        if not (split == place).any():
            raise UserError(f"{raw} - wanted nodes in the split {name} - there are none")
    if len(unknown := np.flatnonzero((split != NONE) & (graph.label == NONE))):
        raise UserError(f"{raw}, node {unknown[0]} - wanted a class of each node in a split - there is none")
    missing = sorted(set(range(len(graph.names))) - set(graph.label[split == 0].tolist()))
    if missing:
        raise UserError(f"{raw} - wanted training nodes of each class - there is none of {graph.names[missing[0]]!s:.100}")


def unseen(split: Array, share: float, rng: torch.Generator) -> Array:
    """(nodes,): a share of the test nodes, one at least."""
    test = np.flatnonzero(split == SPLITS.index("test"))
    chosen = test[torch.randperm(len(test), generator=rng).numpy()[: max(1, round(share * len(test)))]]
    found = np.zeros(len(split), dtype=bool)
    found[chosen] = True
    return found
