"""DIST: the student's probabilities correlate with the teacher's, within each row and, class by class, over rows (arXiv 2205.10536)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float


class DistSettings(TemperatureSettings):
    """The weights of the two correlations: `rows`, over the classes of a row, and `columns`, over the rows of a class."""

    rows: float = Field(1.0, ge=0)
    columns: float = Field(1.0, ge=0)


class Dist(nn.Module):
    """T^2 times (rows x the mean over rows of 1 - r + columns x the mean over classes of 1 - r), r being Pearson's correlation.

    Rows are all positions of all samples. A query's candidates other than the first are no classes: of them rows alone are compared.
    The published code adds 1e-8 to the product of norms, this one does not. Raises UserError, when it is made, where fewer than three
    rows shall be correlated, since two have a correlation of 1 or -1 always.
    """

    def __init__(self, settings: DistSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        require_choices("dist", student, teacher)
        rows = student.prediction[..., 0].numel()
        if settings.columns and student.meaning == "classes" and rows < 3:
            raise UserError(f"dist wants at least three rows to correlate, got predictions {tuple(student.prediction.shape)}")

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss, at most 4 T^2 with weights of 1, and 0 for equal probabilities."""
        temperature = self.settings.temperature
        ours, theirs = (value.exp().reshape(-1, value.shape[-1]) for value in log_probabilities(temperature, student, teacher))
        loss = self.settings.rows * _distance(ours, theirs, 1)
        if student.meaning == "classes":
            loss = loss + self.settings.columns * _distance(ours, theirs, 0)
        return temperature**2 * loss


def _distance(ours: Float[Tensor, "rows classes"], theirs: Float[Tensor, "rows classes"], axis: int) -> Float[Tensor, ""]:
    """The mean of 1 - r along an axis."""
    first, second = (normalize(value - value.mean(axis, keepdim=True), dim=axis) for value in (ours, theirs))
    return 1 - (first * second).sum(axis).mean()


LOSS = Loss(settings=DistSettings, make=Dist, pools=lambda settings: settings.columns > 0)
