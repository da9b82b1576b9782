"""SSLD: student and teacher come closer in both directions, on any picture, with label or without (arXiv 2103.05959)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float


class SsldSettings(TemperatureSettings):
    """How far the two softmaxes are apart is told by either of two divergences.

    `jeffreys` is what the released code calls Jensen-Shannon, half the sum of the two KLs, which has no upper bound; `jensen_shannon` is
    that of the textbooks, at most T^2 ln 2. Which of them the paper prints, we could not read.
    """

    form: Literal["jeffreys", "jensen_shannon"] = "jeffreys"


class Ssld(nn.Module):
    """T^2 times half the sum of KL(p || m) and KL(q || m) or, of `jeffreys`, of KL(p || q) and KL(q || p).

    p and q are the softmaxes of both over the last axis and m is their mean; averaged over all other axes.
    """

    def __init__(self, settings: SsldSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        require_choices("ssld", student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions and the same if student and teacher change places."""
        ours, theirs = log_probabilities(self.settings.temperature, student, teacher)
        first, second = theirs, ours
        if self.settings.form == "jensen_shannon":
            first = second = torch.stack([ours, theirs]).logsumexp(0) - math.log(2)
        rows = _divergence(ours, first) + _divergence(theirs, second)
        return self.settings.temperature**2 * rows.mean() / 2


def _divergence(log_p: Float[Tensor, "*rows choices"], log_q: Float[Tensor, "*rows choices"]) -> Float[Tensor, " *rows"]:
    """KL(p || q) of each row."""
    return kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


LOSS = Loss(settings=SsldSettings, make=Ssld)
