"""Each group that was found is proved on the example: the network under its masks and the smaller one must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from stillhouse.space.blueprint import Architecture, Group, axes_of, block_of, hard_masks, masked
from stillhouse.space.trace.placed import Placed
from stillhouse.space.trace.plan import Told, TracedBlueprint
from stillhouse.space.trace.smaller import cut

TOLERANCE = 1e-3
"""Largest difference, as a share of the largest output."""
_TOLD: tuple[Told, ...] = get_args(Told)
Run = Callable[[nn.Module], Any]


def prove(model: nn.Module, blueprint: TracedBlueprint, run: Run) -> None:
    """Leaves whole the groups that do not hold, each with what went wrong."""
    groups = list(blueprint.groups.values())
    for told in _TOLD:
        blueprint.told = told
        if not _fault(model, groups, groups, run):
            return
    blueprint.told = _TOLD[0]
    good: list[Group] = []
    for group in groups:
        faults, proved = [], blueprint.told
        for told in dict.fromkeys((blueprint.told, *_TOLD)):
            blueprint.told = told
            faults.append(_fault(model, groups, [*good, group], run))
            if not faults[-1]:
                break
        if faults[-1]:
            blueprint.told = proved
            _leave_whole(model, blueprint, group, faults[0])
        else:
            good.append(group)


def _fault(model: nn.Module, groups: Iterable[Group], smaller: list[Group], run: Run) -> str:
    """What is wrong if some elements of some groups are dropped, or else all others; "" if nothing is."""
    halves = {
        group.name: _halves(group, index) if group in smaller else 2 * (tuple(range(group.size)),) for index, group in enumerate(groups)
    }
    return next(filter(None, (_one(model, groups, {name: half[turn] for name, half in halves.items()}, run) for turn in (0, 1))), "")


def _one(model: nn.Module, groups: Iterable[Group], kept: dict[str, tuple[int, ...]], run: Run) -> str:
    architecture, like = Architecture(kept), next(model.parameters())
    with torch.no_grad():
        with masked(model, hard_masks(tuple(groups), architecture, like)):
            wanted = _tensors(run(model))
        try:
            found = _tensors(run(cut(model, architecture)))
        except Exception as error:  # whatever the code of the network says of sizes that it does not know
            return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    return "" if _agree(wanted, found) else "the smaller network gives other results"


def _halves(group: Group, index: int) -> tuple[tuple[int, ...], ...]:
    """Two parts of the elements, of at least as many as must stay. Groups of one size have other parts: equal ones would hide mix-ups."""
    order = torch.randperm(group.size, generator=torch.Generator().manual_seed(0)).tolist()
    number = max(group.minimum, group.size // 4 + 1 + index % max(1, group.size // 2) if group.kind == "width" else group.size // 2)
    return tuple(sorted(order[:number])), tuple(sorted(order[-max(group.minimum, group.size - number) :]))


def _tensors(output: Any) -> list[Tensor]:
    return [item for item in tree_leaves(output) if isinstance(item, Tensor) and item.is_floating_point()]


def _agree(wanted: list[Tensor], found: list[Tensor]) -> bool:
    if [tensor.shape for tensor in wanted] != [tensor.shape for tensor in found]:
        return False
    return all(
        bool((one - other).abs().max() <= TOLERANCE * one.abs().max().clamp(min=1e-6)) for one, other in zip(wanted, found, strict=True)
    )


def _leave_whole(model: nn.Module, blueprint: TracedBlueprint, group: Group, reason: str) -> None:
    del blueprint.groups[group.name]
    blueprint.left_whole[group.name] = reason
    for module in model.modules():
        if (block := block_of(module)) and block[0] == group.name:
            del module.__dict__["depth"], module.__dict__["returned"]
        for name, own in axes_of(module).items():
            module.__dict__["axes"][name] = tuple(_without(axis, group) for axis in own if isinstance(axis, Placed))


def _without(axis: Placed, group: Group) -> Placed:
    places = next((places for other, places, _ in axis.numbering.of(axis.ids) if other == group), np.zeros(0, dtype=np.int64))
    ids = axis.ids.copy()
    ids[places] = 0
    return Placed.at(ids, axis.numbering)
