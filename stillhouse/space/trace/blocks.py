"""Removable blocks of a foreign network: those among equals that add something to what goes into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from torch import nn

from stillhouse.space.blueprint import Group
from stillhouse.space.trace.plan import DepthHook, TracedBlueprint
from stillhouse.space.trace.tracer import Call


def mark(model: nn.Module, blueprint: TracedBlueprint, calls: Iterable[Call]) -> None:
    """Declares a depth group for each list of modules with such blocks in it, and marks them."""
    modules = dict(model.named_modules())
    found: dict[str, list[Call]] = {}
    for call in _innermost(_candidates(modules, list(calls))):
        found.setdefault(call.module.rpartition(".")[0], []).append(call)
    for owner, blocks in found.items():
        group = Group(f"{owner}.blocks" if owner else "blocks", len(blocks), "depth", sharpness=4, minimum=0)
        blueprint.groups[group.name] = group
        for index, call in enumerate(blocks):
            block = modules[call.module]
            block.depth, block.returned = (group.name, index), call.returned
            block.register_forward_hook(DepthHook(blueprint.masks, group.name, index), with_kwargs=True)


def _candidates(modules: dict[str, nn.Module], calls: list[Call]) -> list[Call]:
    times = Counter(call.module for call in calls)
    return [
        call
        for call in calls
        if call.residual
        and call.alone
        and times[call.module] == 1
        and call.module.rpartition(".")[2].isdigit()
        and call.inside is not None
        and call.outside is not None
        and call.inside.shape == call.outside.shape
        and not hasattr(modules[call.module], "depth")
    ]


def _innermost(calls: list[Call]) -> list[Call]:
    names = [call.module for call in calls]
    return [call for call in calls if not any(name.startswith(f"{call.module}.") for name in names)]
