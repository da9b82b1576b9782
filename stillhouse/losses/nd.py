"""ND: the student's features grow along the teacher's mean of their class, to the teacher's norm at least (arXiv 2305.17007)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.shown import CLASS_MEANS, Shown
from stillhouse.losses._pairing import Pairing, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class Nd(nn.Module):
    """Sum over feature pairs of the mean over rows of 1 - s . e / max(|s|, |t|).

    s and t are a row's features of student and teacher, averaged over positions, and e the teacher's mean of the row's class over its
    training data, at length 1. A student whose vector is the longer one has only its direction to learn. A row whose label is not known
    counts 0. Where widths differ, the student's side gets a linear map; the published one has batch norm and dropout before it. Raises
    UserError, when it is made, where no labels are shown, or the teacher has no mean of a class.
    """

    def __init__(self, settings: PairSettings, student: Output, teacher: Output, shown: Shown) -> None:
        super().__init__()
        self.names = [CLASS_MEANS + pair.teacher for pair in settings.pairs]
        self.pairing = Pairing(settings, student, teacher)
        if shown.label is None or shown.known is None:
            raise UserError("nd wants the class of each row - this workload shows none; distil by `pearson` or `squared` instead")
        for name in self.names:
            _require_means(name, shown)

    def forward(self, student: Output, teacher: Output, shown: Shown) -> Float[Tensor, ""]:
        """The loss, from 0 to 2 for each feature pair; it is not 0 where the student equals the teacher."""
        assert shown.label is not None
        assert shown.known is not None
        total = []
        for name, (ours, theirs) in zip(self.names, self.pairing(student, teacher), strict=True):
            means = normalize(shown.facts[name].to(ours), dim=1)[shown.label.where(shown.known, 0)]
            rows = _distance(ours.mean(2), theirs.mean(2), means)
            total.append((rows * shown.known).mean())
        return torch.stack(total).sum()


def _distance(
    ours: Float[Tensor, "batch channel"], theirs: Float[Tensor, "batch channel"], means: Float[Tensor, "batch channel"]
) -> Float[Tensor, " batch"]:
    longest = torch.maximum(ours.norm(dim=1), theirs.norm(dim=1)).clamp_min(torch.finfo(ours.dtype).tiny)
    return 1 - (ours * means).sum(1) / longest


def _require_means(name: str, shown: Shown) -> None:
    if name not in shown.facts:
        raise UserError(f"nd wants {name} of the teacher - it has {sorted(shown.facts) or 'none'}; one of before must be taught again")
    if len(empty := (shown.facts[name] == 0).all(1).nonzero()):
        raise UserError(f"nd wants a mean of each class in {name} - the teacher has none of class {int(empty[0])}")


LOSS = Loss(settings=PairSettings, make=Nd, sees=True)
