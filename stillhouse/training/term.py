"""What a distillation loss makes and gives is looked at: a mistake in one teaches nothing, or something else, and nothing tells it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss


def made(name: str, loss: Loss, settings: Any, *example: Any) -> nn.Module:
    """The module that a loss makes for an example. Raises UserError if it does not take one, or makes something else."""
    try:
        inspect.signature(loss.make).bind(settings, *example)
    except TypeError as error:
        wanted = (
            f"wanted a module made of settings and {len(example)} more: the student's Output, the teacher's, and where it sees it a Shown"
        )
        raise UserError(f"the loss {name} - {wanted} - {error}") from None
    module = loss.make(settings, *example)
    if not isinstance(module, nn.Module):
        raise UserError(f"the loss {name} - wanted a torch.nn.Module, which is trained with the student - got {_kind(module)}")
    return module


def given(module: nn.Module, student: Output, teacher: Output, *shown: Any) -> Tensor:
    """What the module of a loss says of two outputs, a scalar.

    Raises UserError if it is none, changes in place what other losses compare too, or says something that no weight of the student moves.
    """
    if torch.compiler.is_compiling():
        found: Tensor = module(student, teacher, *shown)
        return found
    before = [(tensor, tensor._version) for tensor in _tensors(student, teacher)]
    found = module(student, teacher, *shown)
    place = f"the loss {type(module).__module__}.{type(module).__name__}"
    if not isinstance(found, Tensor) or found.dim() or not found.is_floating_point():
        raise UserError(f"{place} - wanted a scalar tensor, such as a mean over rows - got {_kind(found)}")
    if any(tensor._version != version for tensor, version in before):
        raise UserError(
            f"{place} - wanted outputs that stay as they are, as others compare them too - it changes one in place: `clone()` it"
        )
    if student.prediction.requires_grad and not found.requires_grad and found:
        raise UserError(f"{place} - wanted what depends on the student's outputs - got a number without a gradient: is it detached?")
    return found


def _tensors(*outputs: Output) -> Iterator[Tensor]:
    for output in outputs:
        yield from (output.prediction, *(feature.value for feature in output.features.values()))


def _kind(found: object) -> str:
    return f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
