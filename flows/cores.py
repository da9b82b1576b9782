"""CPU threads for stages that run side by side: more threads than cores make all of them slow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from stillhouse.flows.graph import Node


def shares(nodes: Sequence[Node], cores: int | None = None) -> dict[str, dict[str, str]]:
    """For each stage the environment with its number of threads; empty if the reader has set one.

    The cores are divided by the number of stages that are just as far from the start, because those may run together.
    `nodes` have predecessors first.
    """
    if "STILLHOUSE_WORKERS" in os.environ:
        return {node.name: {} for node in nodes}
    distance: dict[str, int] = {}
    for node in nodes:
        distance[node.name] = 1 + max((distance[name] for name in node.after if name in distance), default=0)
    together = Counter(distance.values())
    available = cores or os.cpu_count() or 1
    return {node.name: {"STILLHOUSE_WORKERS": str(max(1, available // together[distance[node.name]]))} for node in nodes}
