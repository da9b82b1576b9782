"""What goes into the layers that read the elements of groups: activations, of which some searches take their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.parts import Problem
from stillhouse.searches._layers import is_linear
from stillhouse.space.blueprint import Axis, Group, axes_of

if TYPE_CHECKING:
    from jaxtyping import Float

See = Callable[["Reader", "Float[Tensor, 'samples positions entries']"], None]
"""Is shown what goes into a layer for one batch; what has no positions has one."""


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that is a linear map of an axis with elements of groups, which is dimension `channel` of what goes in."""

    name: str
    module: nn.Module
    axis: Axis
    channel: int
    transposed: bool = False
    """Whether the weight's first axis is the one that is read."""

    def weight(self) -> Float[Tensor, "out entries *kernel"]:
        """Its weight, of which what a mask drops is 0 where the mask stands in the weight."""
        weight: Any = self.module.weight
        found: Tensor = weight.detach().T if self.transposed else weight.detach()
        return found


def readers(model: nn.Module, groups: tuple[Group, ...]) -> list[Reader]:
    """The linear layers and convolutions that read a group. Raises UserError if a width group is read by none."""
    widths = {group.name for group in groups if group.kind == "width"}
    found = [reader for name, module in model.named_modules() for reader in _reader(name, module) if _names(reader.axis) & widths]
    if left := widths - set().union(*(_names(reader.axis) for reader in found)):
        raise UserError(f"wanted groups that linear layers or convolutions read - {min(left)} is read by none")
    return found


def _names(axis: Axis) -> set[str | None]:
    return {name for name, _ in axis.parts}


def _reader(name: str, module: nn.Module) -> Iterator[Reader]:
    axes = axes_of(module).get("weight")
    if axes and is_linear(module):
        yield Reader(name, module, axes[1], -1)
    elif axes and isinstance(module, _ConvNd) and module.groups == 1 and not module.transposed:
        yield Reader(name, module, axes[1], 1)
    elif axes and type(module).__name__ == "Conv1D":  # the linear layer of GPT-2
        yield Reader(name, module, axes[0], -1, transposed=True)


@torch.no_grad()
def watch(problem: Problem[Any], model: nn.Module, found: Iterable[Reader], given: list[Any], see: See) -> None:
    """Runs the batches in evaluation mode and shows what goes into each layer."""
    model.eval()
    with ExitStack() as stack:
        for reader in found:
            stack.enter_context(_hooked(reader, see))
        for batch in given:
            problem.apply(model, batch)


def _hooked(reader: Reader, see: See) -> Any:
    def look(module: nn.Module, arguments: Any) -> None:
        value = arguments[0].detach().movedim(reader.channel, -1)
        see(reader, value.reshape(len(value), -1, value.shape[-1]))

    return reader.module.register_forward_pre_hook(look)


def by_element(groups: tuple[Group, ...], values: Iterable[tuple[Reader, Float[Tensor, " _"]]]) -> dict[str, Float[Tensor, " _"]]:
    """Group name -> (size,): the sum over layers of the mean over the entries of each element, such as the channels of a head.

    Blocks of a depth group have none, and are equal.
    """
    total = {group.name: torch.zeros(group.size) for group in groups}
    for reader, value in values:
        value = value.float().cpu()
        counts = reader.axis.sums(torch.ones_like(value))
        for (name, part), (_, count) in zip(reader.axis.sums(value), counts, strict=True):
            if name in total:
                total[name] += part / count.clamp(min=1)
    return total
