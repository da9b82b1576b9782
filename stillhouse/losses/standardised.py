"""Distillation of standardised logits: the student learns the teacher's order and gaps of classes, not its range (arXiv 2403.01427)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, require_choices
from stillhouse.losses._pairing import predictions

if TYPE_CHECKING:
    from jaxtyping import Float


class StandardisedSettings(TemperatureSettings):
    """The `temperature` divides standardised logits.

    A row of logits whose deviation is below `floor`, as of a last layer that starts at 0, is divided by `floor`; the published code
    adds 1e-7 to the deviation, with which such a row's gradient is of the order of 1e7.
    """

    temperature: float = Field(default=2.0, gt=0)
    floor: float = Field(1e-4, ge=1e-12)


class Standardised(nn.Module):
    """T^2 KL(softmax(Z(teacher) / T) || softmax(Z(student) / T)) over the last axis, averaged over all others.

    Z takes from a row its mean and divides by its unbiased deviation. Raises UserError, when it is made, at fewer than three
    choices: two have the same two standardised values always.
    """

    def __init__(self, settings: StandardisedSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        require_choices("standardised", student, teacher)
        if (found := student.prediction.shape)[-1] < 3:
            raise UserError(
                f"standardised wants at least three choices, as two have one standardised order, got predictions {tuple(found)}"
            )

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats times T^2: 0 where each row of the student is a positive multiple of the teacher's plus a constant."""
        temperature = self.settings.temperature
        ours, theirs = (log_softmax(self._standard(rows) / temperature, -1) for rows in predictions(student, teacher))
        return temperature**2 * kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()

    def _standard(self, rows: Float[Tensor, "*rows choices"]) -> Float[Tensor, "*rows choices"]:
        deviation = rows.var(-1, keepdim=True).clamp_min(self.settings.floor**2).sqrt()
        return (rows - rows.mean(-1, keepdim=True)) / deviation


LOSS = Loss(settings=StandardisedSettings, make=Standardised)
