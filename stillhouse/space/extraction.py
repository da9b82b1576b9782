"""Weights cut out of a full network: the state of the static network of an architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillhouse.space.blueprint import Architecture, Axis

if TYPE_CHECKING:
    from jaxtyping import Int


def extract(model: nn.Module, architecture: Architecture) -> dict[str, Tensor]:
    """The state of the static network of `architecture`: tensor name -> a copy of the kept entries of the full network's tensor.

    It fits `load_state_dict` of the network that is built with this architecture, which then computes what the full one does
    under the architecture's hard masks. Raises KeyError if the architecture lacks a group of the network.
    """
    axes = dict(_axes_by_tensor(model))
    dropped = tuple(_dropped_blocks(model, architecture))
    return {
        name: _cut(tensor, axes.get(name, ()), architecture).clone()
        for name, tensor in model.state_dict().items()
        if not name.startswith(dropped)
    }


def _axes_by_tensor(model: nn.Module) -> Iterator[tuple[str, tuple[Axis, ...]]]:
    for prefix, module in model.named_modules():
        for name, axes in getattr(module, "axes", {}).items():
            yield (f"{prefix}.{name}" if prefix else name), axes


def _dropped_blocks(model: nn.Module, architecture: Architecture) -> Iterator[str]:
    for prefix, module in model.named_modules():
        if (depth := getattr(module, "depth", None)) and depth[1] not in architecture.kept[depth[0]]:
            yield f"{prefix}."


def _cut(tensor: Tensor, axes: tuple[Axis, ...], architecture: Architecture) -> Tensor:
    for dim, axis in enumerate(axes):
        tensor = tensor.index_select(dim, _kept_entries(axis, architecture).to(tensor.device))
    return tensor


def _kept_entries(axis: Axis, architecture: Architecture) -> Int[Tensor, " kept"]:
    entries, offset = [], 0
    for name, size in axis.parts:
        kept = range(size) if name is None else architecture.kept[name]
        entries += [offset + index for index in kept]
        offset += size
    return torch.tensor(entries, dtype=torch.long)
