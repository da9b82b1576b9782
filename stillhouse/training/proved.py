"""A declared network of somebody's own is proved before it is searched: under its masks it must answer as what is cut out of it.

Where a gate is missing it does not, and a search would judge other networks than those that it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts import looked
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Task
from stillhouse.space.blueprint import Architecture, Blueprint, Group, blueprint_of, hard_masks, masked
from stillhouse.space.extraction import extract, give

TOLERANCE = 1e-3
"""Largest difference, as a share of the largest number."""


def require_proved(
    task: Task[Any], full: nn.Module, static: Callable[[Architecture], nn.Module], groups: Sequence[Group], batch: Any
) -> None:
    """Raises UserError, naming the groups, where half of each gives another answer than the masks of that half.

    This library's networks are proved by its tests, traced ones when they are traced.
    """
    if not (place := looked.file_of(full)) or type(blueprint_of(full)) is not Blueprint:
        return
    wrong = [group.name for group in groups if not _holds(task, full, static, groups, _half(groups, group), batch)]
    if wrong:
        wanted = "wanted a network that answers under its masks as the one that is cut out of it"
        raise UserError(
            f"{place} - {wanted} - it does not for {', '.join(wrong)}: has each layer that reads such an axis a gate before it?"
        )


def _half(groups: Sequence[Group], halved: Group) -> Architecture:
    """The first half of one group, and all of the others."""
    return Architecture(
        {group.name: tuple(range(max(group.minimum, group.size // 2) if group is halved else group.size)) for group in groups}
    )


def _holds(
    task: Task[Any],
    full: nn.Module,
    static: Callable[[Architecture], nn.Module],
    groups: Sequence[Group],
    architecture: Architecture,
    batch: Any,
) -> bool:
    def answer(network: nn.Module) -> Tensor:
        return task.apply(network.eval(), batch).prediction

    with torch.no_grad(), torch.random.fork_rng():
        smaller = static(architecture)
        give(smaller, extract(full, architecture))
        with masked(full, hard_masks(tuple(groups), architecture, next(full.parameters()))):
            wanted = answer(full)
        found = answer(smaller)
    return found.shape == wanted.shape and bool((found - wanted).abs().max() <= TOLERANCE * wanted.abs().max().clamp(min=1e-6))
