"""Distillation of logits the other way round: the student keeps to what the teacher thinks likely, and need not cover all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import kl_div

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float


class Reverse(nn.Module):
    """T^2 KL(softmax(student / T) || softmax(teacher / T)) over the last axis, averaged over all others (MiniLLM, arXiv 2306.08543)."""

    def __init__(self, settings: TemperatureSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.temperature = settings.temperature
        require_choices("reverse", student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions."""
        ours, theirs = log_probabilities(self.temperature, student, teacher)
        return self.temperature**2 * kl_div(theirs, ours, reduction="none", log_target=True).sum(-1).mean()


LOSS = Loss(settings=TemperatureSettings, make=Reverse)
