"""Distillation of logits: the student's softmax follows the teacher's, over classes or over a query's candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import kl_div

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float


class Logits(nn.Module):
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) over the last axis, averaged over all others (arXiv 1503.02531)."""

    def __init__(self, settings: TemperatureSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.temperature = settings.temperature
        require_choices("logits", student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions.

        Its gradient in a row of logits is T / rows times the difference of the softmaxes.
        """
        ours, theirs = log_probabilities(self.temperature, student, teacher)
        return self.temperature**2 * kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()


LOSS = Loss(settings=TemperatureSettings, make=Logits)
