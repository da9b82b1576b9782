"""The networks that somebody's function builds for a search: what one of them lacks is told before it fails far from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map_only

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.looked import network
from stillhouse.space.blueprint import Architecture, Blueprint


def ready(found: object, place: str) -> nn.Module:
    """The same network. Raises UserError, beginning with `place`, unless it is one with weights, whose sizes are all known."""
    if isinstance(found, type):
        raise UserError(f"{place} - wanted a network - got the class {found.__name__}: write {found.__name__}()")
    model = network(found, place)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            got = f"{name} of a lazy layer, which learns its size from a batch"
            raise UserError(f"{place} - wanted a network whose weights have their sizes - got {got}: run one batch through it first")
    return model


def built(build: Callable[[Architecture | None], object], architecture: Architecture | None, place: str) -> nn.Module:
    """A network of an architecture. Raises UserError, beginning with `place`, unless it is ready and has the blueprint of that."""
    model = ready(build(architecture), place)
    blueprint = getattr(model, "blueprint", None)
    if not isinstance(blueprint, Blueprint):
        raise UserError(f"{place} - wanted a network whose attribute `blueprint` is its Blueprint - got a {type(model).__name__}")
    if blueprint.architecture != architecture:
        raise UserError(f"{place} - wanted a network of the architecture that it is given - it is not handed on to Blueprint")
    return model


def filled(model: nn.Module, weights: nn.Module, wanted: str) -> nn.Module:
    """The same network with the weights of another one. Raises UserError, beginning with what was wanted, where they do not fit."""
    try:
        model.load_state_dict(weights.state_dict())
    except RuntimeError as error:
        raise UserError(f"{wanted} - {' '.join(str(error).split())}") from None
    return model


def ordinary(example: Any) -> Any:
    """The same with copies of tensors that were made under `torch.inference_mode`: nothing can be trained with those themselves."""
    return tree_map_only(Tensor, lambda tensor: tensor.clone() if tensor.is_inference() else tensor, example)
