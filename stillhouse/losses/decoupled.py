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
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float


class DecoupledSettings(TemperatureSettings):
    """The weights of the `target` against all others, and of the `others` among each other; published, beta of the latter was 0.5 to 8.

    The published runs let the loss's weight rise over the first 20 epochs (`warmup_epochs`).
    """

    temperature: float = Field(default=4.0, gt=0)
    target: float = Field(1.0, ge=0)
    others: float = Field(8.0, ge=0)


class Decoupled(nn.Module):
    """T^2 (target x KL(b_t || b_s) + others x KL(q_t || q_s)), averaged over queries.

    b is (p, 1 - p) with the probability p of the true answer, q the softmax over the others alone. With `others` at 1 - p_t of each
    query, it would be the KL of all. It knows the true answer of candidates, in column 0. Raises UserError, when it is made, at all else.
    """

    def __init__(self, settings: DecoupledSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        require_choices("decoupled", student, teacher)
        if student.meaning != "candidates":
            raise UserError(
                f"decoupled wants candidates (queries, 2 or more) with the true answer in column 0, got {student.meaning} "
                f"{tuple(student.prediction.shape)}, whose true one is not seen; distil by `standardised` or `logits` instead"
            )

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions."""
        ours, theirs = log_probabilities(self.settings.temperature, student, teacher)
        target = _divergence(_binary(ours), _binary(theirs))
        others = _divergence(log_softmax(ours[..., 1:], -1), log_softmax(theirs[..., 1:], -1))
        return self.settings.temperature**2 * (self.settings.target * target + self.settings.others * others)


def _binary(rows: Float[Tensor, "*rows choices"]) -> Float[Tensor, "*rows two"]:
    """Log probabilities of the true answer, and of any other."""
    return torch.stack([rows[..., 0], rows[..., 1:].logsumexp(-1)], -1)


def _divergence(ours: Float[Tensor, "*rows choices"], theirs: Float[Tensor, "*rows choices"]) -> Float[Tensor, ""]:
    return kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()


LOSS = Loss(settings=DecoupledSettings, make=Decoupled)
