"""Predictions as choices among classes or candidates: log probabilities at a temperature, for losses that compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor
from torch.nn.functional import log_softmax

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.settings import Settings
from stillhouse.losses._pairing import predictions

if TYPE_CHECKING:
    from jaxtyping import Float


class TemperatureSettings(Settings):
    """How soft the targets are: `temperature` divides the logits of both, and above 1, the smaller probabilities count for more."""

    temperature: float = Field(default=1.0, gt=0)


def require_choices(loss: str, student: Output, teacher: Output) -> None:
    """Raises UserError, naming the loss, unless both predict the same two or more classes or candidates."""
    if student.meaning == "values":
        raise UserError(
            f"{loss} compares softmaxes, of classes or candidates, and the predictions {tuple(student.prediction.shape)} are values, "
            "for which none makes sense; compare features instead"
        )
    ours, _ = predictions(student, teacher)
    if ours.shape[-1] < 2:
        raise UserError(f"a softmax wants at least two {student.meaning} to tell apart, got predictions {tuple(ours.shape)}")


def log_probabilities(
    temperature: float, student: Output, teacher: Output
) -> tuple[Float[Tensor, "*rows choices"], Float[Tensor, "*rows choices"]]:
    """Of both, over the last axis."""
    ours, theirs = (log_softmax(value / temperature, dim=-1) for value in predictions(student, teacher))
    return ours, theirs
