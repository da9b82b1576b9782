"""What a distillation loss is shown of a batch beside the two outputs, in words that losses of all tasks can share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

CLASS_MEANS = "class_means."


@dataclass(frozen=True)
class Shown:
    """A batch, and what its workload tells of the rows of the predictions; None where it tells nothing.

    The batch itself is for a loss and a workload that know each other.
    """

    batch: Any = None
    label: Int[Tensor, " rows"] | None = None
    """The right class of each row; any number where it is not `known`."""
    known: Bool[Tensor, " rows"] | None = None
    """Whether the task's loss counts a row."""
    edges: Int[Tensor, "2 edges"] | None = None
    """From the first row to the second, both numbers of rows of the predictions; edges that lead out of the batch are left out."""
    facts: Mapping[str, Tensor] = field(default_factory=dict)
    """What is known of the teacher over all its training data: `class_means.NAME` (classes, channel) are its feature's by class."""
