"""FF-G2M: a student without edges learns from the teacher's answers on a row's neighbours, and how rows differ from them (AAAI 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.shown import Shown
from stillhouse.losses._choices import require_choices
from stillhouse.losses._pairing import predictions

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class FfG2mSettings(Settings):
    """`temperature` divides the differences between rows; a part whose weight is 0 is not computed."""

    temperature: float = Field(1.5, gt=0)
    low: float = Field(1.0, ge=0)
    """Of what rows learn from their neighbours' answers: what is smooth over the graph."""
    high: float = Field(1.0, ge=0)
    """Of what they learn from the differences to them."""


class FfG2m(nn.Module):
    """low + high, with rows' logits h of the teacher and z of the student, s a softmax over classes, KL(teacher || student).

    low is the mean of KL(s(h_j) || s(z_i)) over the edges from j to i and all rows with themselves: it is not 0 where the student equals
    the teacher, but smallest where s(z_i) is the mean of s(h_j) over the row and its neighbours. high is the mean over the edges of
    KL(s(|h_i - h_j| / T) || s(|z_i - z_j| / T)), 0 without edges. Raises UserError, when it is made, if no edges are shown.
    """

    def __init__(self, settings: FfG2mSettings, student: Output, teacher: Output, shown: Shown) -> None:
        super().__init__()
        self.settings = settings
        require_choices("ff_g2m", student, teacher)
        if student.prediction.dim() != 2:
            raise UserError(f"ff_g2m wants predictions (rows, classes) - got {tuple(student.prediction.shape)}")
        _edges(shown)

    def forward(self, student: Output, teacher: Output, shown: Shown) -> Float[Tensor, ""]:
        """The loss in nats. Time and memory go with the edges times the classes."""
        ours, theirs = predictions(student, teacher)
        source, target = _edges(shown)
        total = ours.new_zeros(())
        if self.settings.low:
            total = total + self.settings.low * _low(ours, theirs, source, target)
        if self.settings.high and len(source):
            differences = [(value[target] - value[source]).abs() / self.settings.temperature for value in (ours, theirs)]
            total = total + self.settings.high * _divergence(differences[0], differences[1]).mean()
        return total


def _edges(shown: Shown) -> Int[Tensor, "2 edges"]:
    if shown.edges is None:
        raise UserError("ff_g2m wants the edges between the rows of a batch - this workload shows none; distil by `logits` instead")
    return shown.edges


def _low(
    ours: Float[Tensor, "rows classes"], theirs: Float[Tensor, "rows classes"], source: Int[Tensor, " edges"], target: Int[Tensor, " edges"]
) -> Float[Tensor, ""]:
    over_edges = _divergence(ours[target], theirs[source]).sum() if len(source) else ours.new_zeros(())
    return (over_edges + _divergence(ours, theirs).sum()) / (len(source) + len(ours))


def _divergence(ours: Float[Tensor, "pairs classes"], theirs: Float[Tensor, "pairs classes"]) -> Float[Tensor, " pairs"]:
    """Of each pair KL(teacher || student) of the softmaxes of logits."""
    return kl_div(log_softmax(ours, -1), log_softmax(theirs, -1), reduction="none", log_target=True).sum(-1)


LOSS = Loss(settings=FfG2mSettings, make=FfG2m, sees=True)
