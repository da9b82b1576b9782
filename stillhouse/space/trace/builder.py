"""Builds the networks of a search from a factory that knows nothing of one."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from stillhouse.space.blueprint import Architecture
from stillhouse.space.trace.found import Inputs, traced
from stillhouse.space.trace.proof import Proved, proved
from stillhouse.space.trace.smaller import cut


def builder(factory: Callable[[], nn.Module], inputs: Inputs) -> Callable[[Architecture | None], nn.Module]:
    """A function that gives, for None, a new network of the factory, and else a smaller one of its class for an architecture.

    `inputs` is an example of what the network is called with: positional arguments in a tuple, or arguments by name in a dictionary. What
    may be dropped is found and proved on it the first time (see `traced`), and known afterwards. Raises UserError if nothing may be.
    """
    known: list[Proved] = []

    def build(architecture: Architecture | None = None) -> nn.Module:
        model = traced(factory(), inputs, known[0] if known else None)
        known[:] = [proved(model)]
        return (model if architecture is None else cut(model, architecture)).train()

    return build
