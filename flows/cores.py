"""How many stages run at once: more threads than cores make all of them slow."""

from __future__ import annotations

import os
from collections.abc import Sequence

from stillhouse.flows.graph import Node


def at_once(nodes: Sequence[Node], cores: int | None = None) -> int:
    """The cores of this machine divided by the threads of a stage, which params.yaml sets for all of them."""
    return max(1, (cores or os.cpu_count() or 1) // max((node.threads for node in nodes), default=1))
