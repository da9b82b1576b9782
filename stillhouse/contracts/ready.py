"""Networks of which a part leaves as a file: what a batch is made ready by has no weights, and stays in Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import nn


class MakesReady(ABC):
    """A network that answers alike to a batch and to what it makes of it."""

    @abstractmethod
    def ready(self, batch: Any) -> Any:
        """The batch as a dataclass of tensors alone, in whose `any_length` their axes of any length stand."""


def ready(network: nn.Module, batch: Any) -> Any:
    """What an exported network is asked for a batch."""
    return network.ready(batch) if isinstance(network, MakesReady) else batch
