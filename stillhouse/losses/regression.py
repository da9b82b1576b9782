"""Distillation of values: the student's predictions follow the teacher's themselves, where no softmax makes sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.losses._pairing import predictions

if TYPE_CHECKING:
    from jaxtyping import Float


class RegressionSettings(Settings):
    """`absolute` takes the absolute difference and not its square; fit it to the error that the task is trained on."""

    absolute: bool = False


class Regression(nn.Module):
    """The mean over all predictions of (student - teacher)^2, or of the absolute difference.

    Raises UserError, when it is made, if the predictions differ in shape or meaning.
    """

    def __init__(self, settings: RegressionSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.distance = l1_loss if settings.absolute else mse_loss
        predictions(student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in the (squared) units of the predictions, at least 0."""
        return self.distance(*predictions(student, teacher))


LOSS = Loss(settings=RegressionSettings, make=Regression)
