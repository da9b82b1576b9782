"""Decoupled distillation: the true answer against all others, and the others among each other, have a weight each (arXiv 2203.08679)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.shown import Shown
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class DecoupledSettings(TemperatureSettings):
    """The weights of the `target` against all others, and of the `others` among each other; published, beta of the latter was 0.5 to 8.

    The published runs let the loss's weight rise over the first 20 epochs (`warmup_epochs`).
    """

    temperature: float = Field(default=4.0, gt=0)
    target: float = Field(1.0, ge=0)
    others: float = Field(8.0, ge=0)


class Decoupled(nn.Module):
    """T^2 (target x KL(b_t || b_s) + others x KL(q_t || q_s)), averaged over rows.

    b is (p, 1 - p) with the probability p of the true answer, q the softmax over the others alone. With `others` at 1 - p_t of each
    row, it would be the KL of all. The true answer of candidates is in column 0; of classes it is the label that is shown, and a row whose
    label is not known counts 0 in the mean. Raises UserError, when it is made, where no labels are shown, or not one a prediction.
    """

    def __init__(self, settings: DecoupledSettings, student: Output, teacher: Output, shown: Shown) -> None:
        super().__init__()
        self.settings = settings
        require_choices("decoupled", student, teacher)
        if student.meaning == "classes":
            _require_labels(student, shown)

    def forward(self, student: Output, teacher: Output, shown: Shown) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions."""
        ours, theirs = log_probabilities(self.settings.temperature, student, teacher)
        true, counts = _true(student, shown)
        target = _divergence(_binary(ours, true), _binary(theirs, true))
        others = _divergence(_others(ours, true), _others(theirs, true))
        rows = self.settings.target * target + self.settings.others * others
        return self.settings.temperature**2 * (rows if counts is None else rows * counts).mean()


def _require_labels(student: Output, shown: Shown) -> None:
    if shown.label is None or shown.known is None:
        raise UserError(
            f"decoupled wants the true class of each row of {tuple(student.prediction.shape)} - this workload shows none; "
            "distil by `standardised` or `logits` instead"
        )
    if (found := tuple(student.prediction.shape[:-1])) != tuple(shown.label.shape):
        raise UserError(f"decoupled wants one label a prediction - got labels {tuple(shown.label.shape)} of predictions {found}")


def _true(student: Output, shown: Shown) -> tuple[Int[Tensor, "*rows one"], Bool[Tensor, "*rows"] | None]:
    """The column of the true answer of each row, and which rows have one; None for all."""
    if student.meaning == "candidates" or shown.label is None or shown.known is None:
        return torch.zeros_like(student.prediction[..., :1], dtype=torch.int64), None
    return shown.label.where(shown.known, 0)[..., None], shown.known


def _others(rows: Float[Tensor, "*rows choices"], true: Int[Tensor, "*rows one"]) -> Float[Tensor, "*rows _"]:
    """Log probabilities of the others among each other, in their order."""
    place = torch.arange(rows.shape[-1] - 1, device=rows.device).expand(*rows.shape[:-1], -1)
    return log_softmax(rows.gather(-1, place + (place >= true)), -1)


def _binary(rows: Float[Tensor, "*rows choices"], true: Int[Tensor, "*rows one"]) -> Float[Tensor, "*rows two"]:
    """Log probabilities of the true answer, and of any other."""
    others = rows.scatter(-1, true, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.cat([rows.gather(-1, true), others], -1)


def _divergence(ours: Float[Tensor, "*rows choices"], theirs: Float[Tensor, "*rows choices"]) -> Float[Tensor, " *rows"]:
    return kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)


LOSS = Loss(settings=DecoupledSettings, make=Decoupled, sees=True)
