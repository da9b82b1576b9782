"""How much each removable block changes what goes through it: block influence (ShortGPT, arXiv 2403.03853, section 3)."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem
from stillhouse.searches._rounding import Blocks, Rounding
from stillhouse.space.blueprint import Architecture, DepthGate, block_of
from stillhouse.space.trace.tracer import first_tensor

if TYPE_CHECKING:
    from jaxtyping import Float

Influence = dict[str, "Float[Tensor, ' _']"]
"""Depth group -> (size,): the influence of each of its blocks."""


@torch.no_grad()
def influences(problem: Problem[Any], model: nn.Module, given: list[Any]) -> Influence:
    """Influence = 1 - mean over rows and positions of cos(x, y), x being what goes into a block and y what comes out.

    Channels are the second axis of what has four, and the last of all else. Raises UserError if a block returns something else than a
    changed input.
    """
    sums = {group.name: torch.zeros(group.size, 2, dtype=torch.float64) for group in problem.groups if group.kind == "depth"}
    model.eval()
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if (block := block_of(module)) and block[0] in sums:
                look = partial(_look, name, sums[block[0]][block[1]])
                stack.enter_context(module.register_forward_hook(look, with_kwargs=True))
        for batch in given:
            problem.apply(model, batch)
    return {name: (1 - found[:, 0] / found[:, 1].clamp(min=1)).float() for name, found in sums.items()}


def _look(name: str, total: Tensor, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
    inside, outside = first_tensor((args, kwargs)), first_tensor(output)
    whole = hasattr(module, "returned") or any(isinstance(part, DepthGate) for part in module.modules())
    if inside is None or outside is None or inside.shape != outside.shape or not whole:
        raise UserError(f"wanted blocks that return what goes into them, changed - {name} returns something else")
    cosines = cosine_similarity(inside.double(), outside.double(), dim=1 if inside.dim() == 4 else -1)
    total += torch.tensor([float(cosines.sum()), cosines.numel()], dtype=torch.float64)


def without(problem: Problem[Any], found: Influence, number: int) -> Blocks:
    """All blocks but so many of those with the least influence, over all depth groups; a group keeps its minimum."""
    blocks = {group.name: tuple(range(group.size)) for group in problem.groups if group.kind == "depth"}
    least = {group.name: group.minimum for group in problem.groups}
    for _, name, index in sorted((float(value), name, index) for name, values in found.items() for index, value in enumerate(values)):
        if number and len(blocks[name]) > least[name]:
            blocks[name], number = tuple(other for other in blocks[name] if other != index), number - 1
    return blocks


def most_dropped(rounding: Rounding, problem: Problem[Any], found: Influence) -> int:
    """The largest number of blocks whose lack leaves the network, with all its widths, above the budget or on it."""
    number, most = 0, sum(len(values) for values in found.values())
    while number < most and _price(rounding, without(problem, found, number + 1)) >= rounding.budget:
        number += 1
    return number


def _price(rounding: Rounding, blocks: Blocks) -> float:
    widths = {group.name: tuple(range(group.size)) for group in rounding.groups if group.kind == "width"}
    return rounding.price(Architecture(widths | dict(blocks)))
