"""Activation checkpointing: of each residual block the input alone is kept for the gradient, and the block is computed once more for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import Blueprint, block_of

Masks = dict[str, Tensor]


def blocks(model: nn.Module) -> list[nn.Module]:
    """The removable blocks of a network, as its blueprint knows them, of nested ones the outermost.

    Raises UserError if there is none, or one has a batch norm, whose running statistics would count each batch twice.
    """
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if block_of(module) and not any(name.startswith(f"{outer}.") for outer in found):
            found[name] = module
    if not found:
        got = "this one has none"
        raise UserError(f"fit.checkpointing - wanted a network of residual blocks, as a search may leave them out - {got}: leave it out")
    for name, module in found.items():
        if any(isinstance(part, _BatchNorm) for part in module.modules()):
            got = f"{name} has a batch norm, which would count each batch twice"
            raise UserError(f"fit.checkpointing - wanted blocks that can be computed twice - {got}: leave it out")
    return list(found.values())


@contextmanager
def recomputed(model: nn.Module) -> Iterator[None]:
    """What the blocks compute in a `with` block, they compute once more when a gradient wants it; random numbers are drawn as before.

    Raises UserError as `blocks`.
    """
    found = blocks(model)
    blueprints = [getattr(module, "blueprint", None) for module in model.modules()]
    masks = [blueprint.masks for blueprint in blueprints if isinstance(blueprint, Blueprint)]
    for block in found:
        block.forward = _twice(block, masks)
    try:
        yield
    finally:
        for block in found:
            del block.forward


def _twice(block: nn.Module, masks: list[Masks]) -> Callable[..., Any]:
    forward: Callable[..., Any] = block.forward

    def twice(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        values, form = tree_flatten((args, kwargs))  # PyTorch looks for the device of random numbers among plain arguments alone
        now = _Now(block, masks)

        def whole(*values: Any) -> Any:
            own, named = tree_unflatten(values, form)
            return forward(*own, **named)

        return checkpoint(whole, *values, use_reentrant=False, context_fn=lambda: (nullcontext(), now.again()))

    return twice


class _Now:
    """What a search exchanges in a block for the time of one forward pass: its masks, and masked weights in the place of its own."""

    def __init__(self, block: nn.Module, masks: list[Masks]) -> None:
        self.masks = [(held, dict(held)) for held in masks]
        self.weights = [(module, own) for module in block.modules() if (own := _exchanged(module))]

    @contextmanager
    def again(self) -> Iterator[None]:
        """The block stands as it did, for the time of a `with` block."""
        with ExitStack() as stack:
            for module, own in self.weights:
                for place, new in ((module._parameters, {}), (vars(module), own)):
                    stack.callback(_restore, place, dict(place))
                    place.update(new)
                for name in own.keys() & module._parameters.keys():
                    del module._parameters[name]
            for held, then in self.masks:
                stack.callback(_restore, held, dict(held))
                held.update(then)
            yield


def _exchanged(module: nn.Module) -> dict[str, Any]:
    """Tensors in the place of parameters, and the list of them that recurrent layers keep beside."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Tensor) or name == "_flat_weights"}


def _restore(place: dict[str, Any], before: dict[str, Any]) -> None:
    place.clear()
    place.update(before)
