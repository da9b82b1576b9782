"""CrossKD: what the teacher's head says of the student's features follows what it says of its own (arXiv 2306.11369), for detectors.

    r = largest sigmoid(t) over classes,    x = the teacher's head on the student's levels, t = the teacher's logits
    class_weight sum |sigmoid(x) - sigmoid(t)|^power BCE(x, sigmoid(t)) / sum r  +  box_weight sum r (1 - GIoU) / sum r

The student's own head learns from the boxes of the task alone, so that the two targets do not pull at it in different directions. The
teacher's passes the gradient on and gets none. Published features come from behind some layers of the student's head, and sums are over
the number of places that stand for a box; here the levels of the pyramid are taken, since a search may leave the student other layers
and widths of the head, and the teacher's r counts places, so that no box is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.settings import Settings
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST = 1e-6
"""The least deviation that is divided by."""


@runtime_checkable
class Headed(Protocol):
    """The output of a network whose head can be asked about other levels, as detectors with a pyramid give it."""

    def again(self, levels: Mapping[str, Tensor]) -> Headed:
        """What the head says of them; by its weights no gradient comes."""

    def apart(self, other: Headed) -> Tensor:
        """(batch, places): 1 - GIoU of the boxes of two outputs."""


class CrosskdSettings(Settings):
    """What the two terms count for, and how much more what is far away counts for (`power`)."""

    class_weight: float = Field(1.0, ge=0)
    box_weight: float = Field(1.0, ge=0)
    power: float = Field(1.0, ge=1)


class Crosskd(nn.Module):
    """Raises UserError, when it is made, if the teacher's head cannot be asked, or the student lacks one of its levels.

    Where widths differ, the student's levels get a 1x1 map. Each channel is brought to the mean and deviation of the teacher's, over the
    batch and all positions of the level, as published.
    """

    def __init__(self, settings: CrosskdSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        if not isinstance(teacher, Headed) or not teacher.features:
            kind = f"a prediction {tuple(teacher.prediction.shape)} and the features {sorted(teacher.features)}"
            raise UserError(f"crosskd wants a teacher with a pyramid and a head, `retinanet` or `fcos` of `detect` - got {kind}")
        self.settings, self.names = settings, tuple(teacher.features)
        self.pairing = Pairing(PairSettings.model_validate({"pairs": self.names}), student, teacher)
        with torch.no_grad():
            self(student, teacher)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss, 0 where each channel of the student's levels is the teacher's up to its mean and scale."""
        assert isinstance(teacher, Headed)
        levels = zip(self.names, self.pairing.grids(student, teacher), strict=True)
        with torch.autocast(teacher.prediction.device.type, enabled=False):
            said = teacher.again({name: aligned(ours, theirs) for name, (ours, theirs) in levels})
        assert isinstance(said, Output)
        wanted = _upcast(teacher.prediction).detach().sigmoid()
        sure = wanted.amax(-1)
        boxes = (sure * said.apart(teacher)).sum()
        classes = quality(_upcast(said.prediction), wanted, self.settings.power).sum()
        return (self.settings.class_weight * classes + self.settings.box_weight * boxes) / sure.sum()


def aligned(
    ours: Float[Tensor, "batch channel *grid"], theirs: Float[Tensor, "batch channel *grid"]
) -> Float[Tensor, "batch channel *grid"]:
    """The first with mean and deviation of the second in each channel; what has them is left as it is, to the last bit."""
    (deviation, mean), (scale, wanted) = map(_moments, (ours, theirs))
    return ours + ((ours - mean) * (scale / deviation - 1) + (wanted - mean))


def _moments(value: Float[Tensor, "batch channel *grid"]) -> tuple[Float[Tensor, "1 channel *_"], Float[Tensor, "1 channel *_"]]:
    """Deviation and mean of each channel; of a constant one no gradient comes."""
    variance, mean = torch.var_mean(value, [0, *range(2, value.dim())], keepdim=True)
    return variance.clamp(min=LEAST**2).sqrt(), mean


def quality(logit: Float[Tensor, "*shape"], wanted: Float[Tensor, "*shape"], power: float) -> Float[Tensor, "*shape"]:
    """Cross-entropy to a probability, more of it the farther away the answer is (quality focal loss, arXiv 2006.04388, eq. 2)."""
    entropy = binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    return (logit.sigmoid() - wanted).abs().pow(power) * entropy


def _upcast(value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return value.to(torch.promote_types(value.dtype, torch.float32))


LOSS = Loss(settings=CrosskdSettings, make=Crosskd, pools=lambda settings: True)
