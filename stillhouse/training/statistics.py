"""Statistics of batch norms, taken anew for a network that runs as it was not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from stillhouse.training.machine import move

ENOUGH = 16
"""Training batches from which statistics are taken."""


def norms(network: nn.Module) -> list[_BatchNorm]:
    """The batch norms that gather statistics."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


@torch.no_grad()
def take(network: nn.Module, apply: Callable[[nn.Module, Any], object], batches: Iterable[Any]) -> None:
    """Mean and variance of each batch norm's input over some training batches; all else stays, and does nothing if there is none."""
    if not (found := norms(network)):
        return
    momenta, device = [norm.momentum for norm in found], next(network.parameters()).device
    network.eval()
    for norm in found:
        norm.reset_running_stats()
        norm.train()
    for number, batch in enumerate(batches, start=1):
        for norm in found:
            norm.momentum = 1 / number  # all batches count alike
        apply(network, move(batch, device))
    for norm, momentum in zip(found, momenta, strict=True):
        norm.momentum = momentum


@contextmanager
def ungathered(network: nn.Module) -> Iterator[None]:
    """Batch norms that are in training take the statistics of a batch and do not gather them."""
    found = norms(network)
    for norm in found:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in found:
            norm.track_running_stats = True


@contextmanager
def put_back(network: nn.Module) -> Iterator[None]:
    """What a network has gathered before is what it has afterwards."""
    kept = [(buffer, buffer.clone()) for norm in norms(network) for buffer in norm.buffers()]
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)
