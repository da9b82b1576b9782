"""The weights that belong to single elements: what writes them, such as rows of the layers before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.conv import _ConvNd

from stillhouse.searches._layers import is_linear
from stillhouse.space.blueprint import Axis, Group, axes_of, axis_mask

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Slices:
    """A weight of which each element of some groups has slices of its own, along dimension `dim`."""

    weight: nn.Parameter
    axis: Axis
    dim: int
    groups: frozenset[str]

    def sums(self, values: Float[Tensor, "*shape"]) -> Iterator[tuple[str, Float[Tensor, " _"]]]:
        """(group, (size,)): what values of the weight's shape add up to for the elements of each group."""
        by_entry = values.movedim(self.dim, 0).reshape(values.shape[self.dim], -1).double().sum(1).cpu()
        return ((name, part) for name, part in self.axis.sums(by_entry) if name in self.groups)

    def shrink(self, factors: Mapping[str, Float[Tensor, " _"]]) -> None:
        """Multiplies the slices of each element by its own of `factors`, group -> (size,)."""
        factor = axis_mask({name: factors[name] for name in self.groups}, self.axis, self.weight)
        if factor is not None:
            self.weight.mul_(factor.view([-1 if dim == self.dim else 1 for dim in range(self.weight.dim())]))


def slices(model: nn.Module, groups: tuple[Group, ...]) -> list[Slices]:
    """The weights that write the elements of each width group; those that read them, where nothing that is trained writes them.

    Of a layer that is no linear map, convolution, norm or embedding, all weights that an element has count as written.
    """
    sides: dict[bool, dict[tuple[int, int], tuple[nn.Parameter, Axis, int]]] = {True: {}, False: {}}
    for module in model.modules():
        for name, axes in axes_of(module).items():
            weight = getattr(module, name)
            for dim, axis in enumerate(axes if isinstance(weight, nn.Parameter) else ()):
                reads = weight.dim() > 1 and dim == _read(module)
                sides[reads].setdefault((id(weight), dim), (weight, axis, dim))
    widths = frozenset(group.name for group in groups if group.kind == "width")
    written = frozenset(name for _, axis, _ in sides[False].values() for name, _ in axis.parts if name in widths)
    found = [
        Slices(weight, axis, dim, (widths - written if reads else written) & {name for name, _ in axis.parts})
        for reads, side in sides.items()
        for weight, axis, dim in side.values()
    ]
    return [part for part in found if part.groups]


def _read(module: nn.Module) -> int | None:
    """Along which dimension of its weight a layer reads."""
    if isinstance(module, _ConvNd):
        return 0 if module.transposed else 1
    if type(module).__name__ == "Conv1D":  # the linear layer of GPT-2
        return 0
    return 1 if is_linear(module) else None
