"""One axis of a tensor: which of its entries belong to which group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

    from stillhouse.space.blueprint import Architecture


@dataclass(frozen=True)
class Axis:
    """One axis of a tensor: a concatenation of parts (group name or None for a fixed part, number of entries)."""

    parts: tuple[tuple[str | None, int], ...]

    @property
    def count(self) -> int:
        """Entries along this axis in the network at hand."""
        return sum(size for _, size in self.parts)

    def __add__(self, other: Axis) -> Axis:
        """The concatenation of two axes."""
        return Axis(self.parts + other.parts)

    def mask(self, masks: Mapping[str, Float[Tensor, " _"]], like: Tensor) -> Float[Tensor, " entries"]:
        """The masks of its groups along the axis; what has none is kept whole."""
        parts = [masks[name] if name is not None and name in masks else like.new_ones(size) for name, size in self.parts]
        return torch.cat([part.to(like) for part in parts])

    def kept(self, architecture: Architecture) -> list[int]:
        """The entries of the full network's axis that an architecture keeps, in order."""
        entries, offset = [], 0
        for name, size in self.parts:
            entries += [offset + index for index in (range(size) if name is None else architecture.kept[name])]
            offset += size
        return entries

    def sums(self, values: Float[Tensor, " entries"]) -> Iterator[tuple[str, Float[Tensor, " _"]]]:
        """(group, (size,)): what one value per entry adds up to for the elements of each group."""
        for (name, _), part in zip(self.parts, values.split([size for _, size in self.parts]), strict=True):
            if name is not None:
                yield name, part


def fixed(count: int) -> Axis:
    """An axis of `count` entries that no search touches, such as the channels of the input or the classes."""
    return Axis(((None, count),))


def axis_mask(masks: Mapping[str, Float[Tensor, " _"]], axis: Axis, like: Tensor) -> Float[Tensor, " entries"] | None:
    """The mask along a whole axis (fixed parts are ones), or None if none of its groups has one."""
    return axis.mask(masks, like) if any(name in masks for name, _ in axis.parts) else None
