"""A network of somebody else's family is asked for one batch before any work: a prediction of a wrong shape trains something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from stillhouse.contracts import looked
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Task


def require_taken(task: Task[Any], model: nn.Module, sizes: Mapping[str, Any], batch: Any) -> None:
    """Raises UserError if the task's loss cannot take what a network says of a batch, or it says another number of classes.

    This library's own networks are not asked.
    """
    if not (place := looked.file_of(model)):
        return
    with torch.no_grad(), torch.random.fork_rng():
        output = task.apply(model.eval(), batch)
        _require_classes(place, output, sizes)
        try:
            task.loss(output, batch)
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
            if isinstance(error, UserError | torch.OutOfMemoryError) or not task.loss.__module__.startswith("stillhouse."):
                raise
            raise UserError(f"{place} - wanted an Output that the loss of this task takes - got {_told(output)} ({error})") from error


def _require_classes(place: str, output: Output, sizes: Mapping[str, Any]) -> None:
    classes = sizes.get("classes")
    if classes and output.meaning == "classes" and output.prediction.shape[-1:] != (classes,):
        raise UserError(f"{place} - wanted logits of {classes} classes along the last axis - got {_told(output)}")


def _told(output: Output) -> str:
    return f"{output.meaning} of shape {tuple(output.prediction.shape)}"
