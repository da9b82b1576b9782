"""Distillation of score gaps (margin MSE): only the distance between a query's true answer and its negatives is taught.

The teacher's scores may therefore lie on a shifted scale. The loss comes from retrieval (arXiv 2010.02666; with other
queries' items as negatives, at weight 0.75, arXiv 2104.06967).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.losses._pairing import predictions

if TYPE_CHECKING:
    from jaxtyping import Float


class MarginSettings(Settings):
    """What is compared beside a query's own candidates.

    `in_batch` adds, at its weight, the same loss between a query's true answer and the items of the batch's other queries.
    """

    in_batch: bool = False
    in_batch_weight: float = Field(0.75, gt=0)


class Margin(nn.Module):
    """Mean over (query, negative) of ((s+ - s-) - (t+ - t-))^2, with the true answer's score s+ in column 0."""

    def __init__(self, settings: MarginSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        ours, _ = predictions(student, teacher)
        if student.meaning != "candidates" or ours.dim() != 2 or ours.shape[1] < 2:
            raise UserError(
                f"margin wants candidates (queries, 2 or more) with the true answer in column 0, got {student.meaning} {tuple(ours.shape)}"
            )

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in squared units of the scores, at least 0, of two (queries, candidates) predictions."""
        ours, theirs = predictions(student, teacher)
        excess = ours - theirs
        loss = (excess[:, :1] - excess[:, 1:]).square().mean()
        if self.settings.in_batch and len(excess) > 1:
            loss = loss + self.settings.in_batch_weight * _in_batch(excess)
        return loss


def _in_batch(excess: Float[Tensor, "queries items"]) -> Float[Tensor, ""]:
    """Mean of (e_i0 - e_jk)^2 over queries i, other queries j and all their items k, for e = student - teacher (queries, items).

    An item keeps the score that its own query gave it. The mean over k is taken first, as the squared distance to the
    row's mean plus the row's variance, so that no (queries, queries, items) tensor is made.
    """
    mean = excess.mean(1)
    variance = excess.var(1, correction=0)
    distance = (excess[:, :1] - mean).square() + variance
    others = len(excess) * (len(excess) - 1)
    return (distance.sum() - distance.diagonal().sum()) / others


LOSS = Loss(settings=MarginSettings, make=Margin, pools=lambda settings: bool(settings.in_batch))
