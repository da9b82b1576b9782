"""A detector's output, and what its family must be able to do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.workloads.pictures.detect.boxes import generalised_overlap
from stillhouse.workloads.pictures.detect.cells import Cells
from stillhouse.workloads.pictures.detect.focal import focal

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped


@runtime_checkable
class Interpretation(Protocol):
    """What the numbers of a family mean."""

    def loss(self, output: DetectorOutput, boxes: Tensor, label: Tensor) -> Tensor:
        """A scalar; boxes (batch, most, 4) and their classes (batch, most), -1 where there is no box."""

    def score(self, output: DetectorOutput) -> Tensor:
        """(batch, places, classes), in [0, 1]."""

    def boxes(self, output: DetectorOutput, place: Tensor) -> Tensor:
        """(batch, chosen, 4) in pixels, at some places (batch, chosen)."""


@dataclass(frozen=True, kw_only=True)
class DetectorOutput(Output):
    """`prediction` holds a logit for each class at each place (batch, places, classes): an anchor, or the centre of a cell."""

    prediction: Float[Tensor, "batch places classes"] = field(kw_only=False)
    box: Float[Tensor, "batch places 4"]
    """(batch, places, 4), as the family's interpretation reads it."""
    centre: Float[Tensor, "batch places"] | None = None
    """(batch, places): a logit for how near to a box's middle a place lies."""
    cells: Cells | None = None
    """Where the places are, for a family whose boxes follow from it."""
    extent: tuple[int, int]
    """Height and width of the picture."""
    interpretation: Interpretation
    head: Callable[[Mapping[str, Tensor]], DetectorOutput] | None = None
    """What the network's head says of other levels of its pyramid, by name, its weights standing still; for a family that has both."""

    def again(self, levels: Mapping[str, Float[Tensor, "batch channel _ _"]]) -> DetectorOutput:
        """What the same head says of other levels. Raises UserError for a network that has none to be asked."""
        if self.head is None:
            raise UserError("wanted a detector whose head can be asked about other levels, `retinanet` or `fcos` - got one without")
        return self.head(levels)

    def of(self, rows: Bool[Tensor, " batch"]) -> DetectorOutput:
        """That of some pictures alone, without their features."""
        centre = None if self.centre is None else self.centre[rows]
        return replace(self, prediction=self.prediction[rows], box=self.box[rows], centre=centre, features={})

    def apart(self, other: DetectorOutput) -> Float[Tensor, "batch places"]:
        """1 - GIoU of the boxes at each place, those of the other without gradient."""
        place = torch.arange(self.prediction.shape[1], device=self.prediction.device).expand(len(self.prediction), -1)
        ours, theirs = (output.interpretation.boxes(output, place) for output in (self, other))
        return 1 - generalised_overlap(ours, theirs.detach())

    @property
    def located(self) -> Cells:
        """The cells, for a family that has them."""
        assert self.cells is not None
        return self.cells


def class_loss(
    logit: Float[Tensor, "batch places classes"], label: Int[Tensor, "batch places"], taught: Bool[Tensor, "batch places"]
) -> Float[Tensor, ""]:
    """The sum of the focal loss; `label` (batch, places) is -1 for background, and places that are not `taught` do not count."""
    wanted = one_hot(label + 1, logit.shape[-1] + 1)[..., 1:].to(logit)
    return (focal(logit, wanted) * taught.unsqueeze(-1)).sum()


def at(values: Shaped[Tensor, "batch rows *rest"], index: Int[Tensor, "batch chosen"]) -> Shaped[Tensor, "batch chosen *rest"]:
    """Rows of (batch, rows, ...) by index (batch, chosen); an index below 0 gives any row."""
    return values[torch.arange(len(values), device=values.device)[:, None], index.clamp(min=0)]


def upcast(value: Tensor) -> Tensor:
    """In single precision at least."""
    return value.to(torch.promote_types(value.dtype, torch.float32))
