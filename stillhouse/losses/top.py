"""Distillation of the likeliest choices: the teacher's first few one by one, and all others as one more, as of a large vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float


class TopSettings(TemperatureSettings):
    """`count` choices of the teacher's are compared one by one; where only one is left besides, all are."""

    count: int = Field(default=32, gt=0)


class Top(nn.Module):
    """T^2 KL of the teacher's `count` likeliest choices and the rest in one, at most the KL of all; averaged over all other axes."""

    def __init__(self, settings: TopSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.temperature, self.count = settings.temperature, settings.count
        require_choices("top", student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions."""
        ours, theirs = log_probabilities(self.temperature, student, teacher)
        if self.count < ours.shape[-1] - 1:
            chosen = theirs.topk(self.count, dim=-1).indices
            ours, theirs = _gathered(ours, chosen), _gathered(theirs, chosen)
        return self.temperature**2 * kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()


def _gathered(values: Float[Tensor, "*rows choices"], chosen: Tensor) -> Float[Tensor, "*rows _"]:
    """The log probabilities of the chosen ones, and last that of all others together."""
    others = values.scatter(-1, chosen, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.cat([values.gather(-1, chosen), others], -1)


LOSS = Loss(settings=TopSettings, make=Top)
