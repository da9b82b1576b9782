"""An axis of a foreign weight, whose entries belong to elements of groups in whatever order the network has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, Axis, Group, axes_of
from stillhouse.space.trace.labels import Ids

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Numbering:
    """Which number stands for which element: those of group i begin at `first[i]`, and 0 is what is never cut."""

    groups: tuple[Group, ...]

    @cached_property
    def first(self) -> list[int]:
        """The number of each group's first element."""
        return [1, *(1 + np.cumsum([group.size for group in self.groups], dtype=int)).tolist()][: len(self.groups)]

    def of(self, ids: Ids) -> Iterator[tuple[Group, Ids, Ids]]:
        """For each group with elements in `ids`: the places of their entries, and the index of the element of each."""
        for group, first in zip(self.groups, self.first, strict=True):
            places = np.flatnonzero((ids >= first) & (ids < first + group.size))
            if len(places):
                yield group, places, ids[places] - first


@dataclass(frozen=True, eq=False)
class Placed(Axis):
    """An axis with the number of each entry."""

    ids: Ids
    numbering: Numbering

    @classmethod
    def at(cls, ids: Ids, numbering: Numbering) -> Placed:
        """Its parts say how many entries each group has, in multiples of the elements that there are."""
        parts: list[tuple[str | None, int]] = []
        for group, _, elements in numbering.of(ids):
            size = len(np.unique(elements))
            parts += [(group.name, size)] * (len(elements) // size)
        rest = int((ids == 0).sum())
        return cls((*parts, (None, rest)) if rest else tuple(parts), ids, numbering)

    def mask(self, masks: Mapping[str, Float[Tensor, " _"]], like: Tensor) -> Float[Tensor, " entries"]:
        """The masks of its groups along the axis; what has none is kept whole."""
        whole = like.new_ones(len(self.ids))
        for group, places, elements in self.numbering.of(self.ids):
            if group.name in masks:
                values = masks[group.name].to(like)[torch.from_numpy(elements).to(like.device)]
                whole = whole.index_copy(0, torch.from_numpy(places).to(like.device), values)
        return whole

    def kept(self, architecture: Architecture) -> list[int]:
        """The entries of the full network's axis that an architecture keeps, in order."""
        keep = np.ones(len(self.ids), dtype=bool)
        for group, places, elements in self.numbering.of(self.ids):
            keep[places] = np.isin(elements, architecture.kept[group.name])
        return np.flatnonzero(keep).tolist()

    def sums(self, values: Float[Tensor, " entries"]) -> Iterator[tuple[str, Float[Tensor, " _"]]]:
        """(group, (size,)): what one value per entry adds up to for the elements of each group."""
        for group, places, elements in self.numbering.of(self.ids):
            yield group.name, values.new_zeros(group.size).index_add(0, torch.from_numpy(elements), values[places])

    def cut(self, architecture: Architecture) -> Placed:
        """The axis of the static network of an architecture."""
        return Placed.at(self.ids[self.kept(architecture)], self.numbering)


def leaves(model: nn.Module, numbering: Numbering) -> dict[Tensor, list[Ids]]:
    """Weights and buffers with the numbers of their axes, whoever said them; all others are never cut."""
    found: dict[Tensor, list[Ids]] = {}
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None:
                axes = axes_of(module).get(name) if numbering.groups else None
                found[tensor] = (
                    [_ids(axis, numbering) for axis in axes] if axes else [np.zeros(size, dtype=np.int64) for size in tensor.shape]
                )
    return found


def _ids(axis: Axis, numbering: Numbering) -> Ids:
    if isinstance(axis, Placed):
        return axis.ids
    first = {group.name: number for group, number in zip(numbering.groups, numbering.first, strict=True)}
    parts = [np.zeros(size, dtype=np.int64) if name is None else np.arange(first[name], first[name] + size) for name, size in axis.parts]
    return np.concatenate(parts)
