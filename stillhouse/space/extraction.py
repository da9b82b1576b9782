"""Weights cut out of a full network: the state of the static network of an architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Architecture, Axis, axes_of, block_of


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


def give(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Gives a static network the weights that were cut out for its architecture. Raises UserError if it was built of another one."""
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        wanted, got = (f"{tuple(state[name].shape)}" if name in state else "none" for state in (weights, own))
        if wanted != got:
            remedy = "does its family hand `architecture` to its Blueprint, and build no block that is dropped?"
            raise UserError(f"{type(model).__name__} of an architecture - wanted {name} of {wanted} - got {got}: {remedy}")
    model.load_state_dict(weights)


def _axes_by_tensor(model: nn.Module) -> Iterator[tuple[str, tuple[Axis, ...]]]:
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, axes in axes_of(module).items():
            yield (f"{prefix}.{name}" if prefix else name), axes


def _dropped_blocks(model: nn.Module, architecture: Architecture) -> Iterator[str]:
    for prefix, module in model.named_modules(remove_duplicate=False):
        if (block := block_of(module)) and block[1] not in architecture.kept[block[0]]:
            yield f"{prefix}."


def _cut(tensor: Tensor, axes: tuple[Axis, ...], architecture: Architecture) -> Tensor:
    for dim, axis in enumerate(axes):
        tensor = tensor.index_select(dim, torch.tensor(axis.kept(architecture), dtype=torch.long, device=tensor.device))
    return tensor
