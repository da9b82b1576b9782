"""Builds the networks of a search from a factory that knows nothing of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Architecture
from stillhouse.space.built import ordinary, ready
from stillhouse.space.given import require_function
from stillhouse.space.trace.found import Inputs, traced
from stillhouse.space.trace.smaller import cut


def builder(factory: Callable[[], nn.Module] | object, inputs: Inputs | object) -> Callable[[Architecture | None], nn.Module]:
    """A function that gives, for None, a new network of the factory, and else a smaller one of its class for an architecture.

    `inputs` is an example of what the network is called with: positional arguments in a tuple, or arguments by name in a dictionary. What
    may be dropped is found and proved on it the first time (see `traced`); a search builds hundreds.

    It builds the same under `torch.no_grad` and `torch.inference_mode`.

    Raises UserError if nothing may be, where `inputs` are neither, and where the factory gives no network with weights of known sizes.
    """
    make = _factory(factory)
    if not isinstance(inputs, tuple | Mapping):
        got = f"a {type(inputs).__name__}: write (example,)"
        raise UserError(f"builder - wanted a tuple of arguments, or a dictionary of arguments by name, as inputs - got {got}")
    found: list[nn.Module] = []

    @torch.inference_mode(False)  # weights that are made in it cannot be trained, and operations hide in it
    @torch.enable_grad()
    def build(architecture: Architecture | None = None) -> nn.Module:
        fresh = make()
        if not found:
            found.append(traced(copy.deepcopy(ready(fresh, "builder, factory")), ordinary(inputs)))
        model = copy.deepcopy(found[0])
        model.load_state_dict(fresh.state_dict())
        return (model if architecture is None else cut(model, architecture)).train()

    return build


def _factory(factory: Any) -> Callable[[], nn.Module]:
    """The same. Raises UserError unless it is a function without arguments."""
    if isinstance(factory, nn.Module):
        got = f"a {type(factory).__name__} itself: give its class, or a function that makes one"
        raise UserError(f"builder, factory - wanted a function that gives a new network - got {got}")
    require_function(factory, (), "builder, factory - wanted a function factory")
    made: Callable[[], nn.Module] = factory
    return made
