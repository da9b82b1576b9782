"""Distillation of logits: the student's softmax follows the teacher's, over classes or over a query's candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.losses._pairing import predictions

if TYPE_CHECKING:
    from jaxtyping import Float


class LogitsSettings(Settings):
    """How soft the targets are: `temperature` divides the logits of both, and above 1, the smaller probabilities count for more."""

    temperature: float = Field(1.0, gt=0)


class Logits(nn.Module):
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) over the last axis, averaged over all others (arXiv 1503.02531)."""

    def __init__(self, settings: LogitsSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.temperature = settings.temperature
        _refuse_values(student)
        ours, _ = predictions(student, teacher)
        if ours.shape[-1] < 2:
            raise UserError(f"a softmax wants at least two {student.meaning} to tell apart, got predictions {tuple(ours.shape)}")

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2, 0 for equal predictions.

        Its gradient in a row of logits is T / rows times the difference of the softmaxes.
        """
        ours, theirs = (log_softmax(value / self.temperature, dim=-1) for value in predictions(student, teacher))
        return self.temperature**2 * kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()


def _refuse_values(student: Output) -> None:
    if student.meaning == "values":
        raise UserError(
            f"logits compares softmaxes, of classes or candidates, and the predictions {tuple(student.prediction.shape)} are values, "
            "for which none makes sense; compare features instead"
        )


LOSS = Loss(settings=LogitsSettings, make=Logits)
