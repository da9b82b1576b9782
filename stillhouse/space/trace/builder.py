"""Builds the networks of a search from a factory that knows nothing of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Architecture
from stillhouse.space.trace.found import Inputs, traced
from stillhouse.space.trace.smaller import cut


def builder(factory: Callable[[], nn.Module], inputs: Inputs | object) -> Callable[[Architecture | None], nn.Module]:
    """A function that gives, for None, a new network of the factory, and else a smaller one of its class for an architecture.

    `inputs` is an example of what the network is called with: positional arguments in a tuple, or arguments by name in a dictionary. What
    may be dropped is found and proved on it the first time (see `traced`); a search builds hundreds.

    Raises UserError if nothing may be, and where `inputs` are neither.
    """
    if not isinstance(inputs, tuple | Mapping):
        got = f"a {type(inputs).__name__}: write (example,)"
        raise UserError(f"builder - wanted a tuple of arguments, or a dictionary of arguments by name, as inputs - got {got}")
    found: list[nn.Module] = []

    def build(architecture: Architecture | None = None) -> nn.Module:
        fresh = factory()
        if not found:
            found.append(traced(copy.deepcopy(fresh), inputs))
        model = copy.deepcopy(found[0])
        model.load_state_dict(fresh.state_dict())
        return (model if architecture is None else cut(model, architecture)).train()

    return build
