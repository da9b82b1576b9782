"""How a network is asked as a program: by batches as they are, or made ready by it or, of one's own, by its forward pre-hook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from stillhouse.contracts.ready import MakesReady, ready


def makes_ready(network: nn.Module) -> bool:
    """Whether a batch is made ready in Python, before the program."""
    return isinstance(network, MakesReady) or bool(_hooks(network))


def asking(network: nn.Module, batch: Any) -> Any:
    """What a program is asked for a batch."""
    hooks = _hooks(network)
    return hooks[0].ready(batch) if hooks else ready(network, batch)


def _hooks(network: nn.Module) -> list[MakesReady]:
    hooks: Iterable[object] = network._forward_pre_hooks.values()
    return [hook for hook in hooks if isinstance(hook, MakesReady)]
