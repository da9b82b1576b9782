"""VQGraph: the student's rows lie among the teacher's codes, the centres of its rows' clusters, as the teacher's do (arXiv 2308.02117)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn.functional import kl_div

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._pairing import Pairing, Pairs, PairSettings

if TYPE_CHECKING:
    from jaxtyping import Float

_LIKELY = 5
"""So many codes are likely for a teacher's row where the temperature is not given."""
_MOST = 20_000
"""The most rows among which codes are sought."""


class VqgraphSettings(PairSettings):
    """Which features are compared, by how many codes, and how sharply."""

    codes: int = Field(64, ge=2)
    """Of rows that are fewer, or alike, there are fewer."""
    temperature: float | None = Field(None, gt=0)
    """Divides scores, and its square is a factor of the loss; None has the one at which a teacher's row has the entropy of five equally
    likely codes, and no factor, so that the loss does not depend on the features' units."""
    squared: bool = True
    """Whether scores are the negative squared distances from codes, per channel; else they are the distances, as published."""


class Vqgraph(nn.Module):
    """Sum over feature pairs of the mean over rows of T^2 KL(softmax(t / T) || softmax(s / T)), t and s scores of all codes.

    Rows are all positions of all samples. Codes are found, when the loss is made, among the teacher's rows of that batch (of `static_nodes`
    all nodes that may be seen) and stay; the published ones are learnt with a teacher of their own, whose scores are cosines while the
    student's are distances. Where widths differ, the student's side gets a linear map. Raises UserError at a teacher whose rows are alike.
    """

    def __init__(self, settings: VqgraphSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        self.pairing = Pairing(settings, student, teacher)
        self.codes = nn.ParameterList(_codes(theirs, settings.codes) for _, theirs in _rows(self.pairing(student, teacher)))
        self.temperatures = [settings.temperature or _temperature(score) for _, score in self._scores(student, teacher)]

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats (times T^2), 0 for equal features."""
        total = []
        for (ours, theirs), temperature in zip(self._scores(student, teacher), self.temperatures, strict=True):
            logs = [(score / temperature).log_softmax(-1) for score in (ours, theirs)]
            factor = 1.0 if self.settings.temperature is None else temperature**2
            total.append(factor * kl_div(logs[0], logs[1], reduction="none", log_target=True).sum(-1).mean())
        return torch.stack(total).sum()

    def _scores(self, student: Output, teacher: Output) -> list[tuple[Tensor, Tensor]]:
        pairs = _rows(self.pairing(student, teacher))
        with torch.autocast(pairs[0][0].device.type, enabled=False):
            measured = zip(pairs, self.codes, strict=True)
            return [(self._score(ours, codes), self._score(theirs, codes)) for (ours, theirs), codes in measured]

    def _score(self, rows: Float[Tensor, "rows channel"], codes: Float[Tensor, "codes channel"]) -> Float[Tensor, "rows codes"]:
        """Squared distances less the row's own square, which no softmax sees."""
        codes = codes.to(rows)
        if self.settings.squared:
            return (2 * rows @ codes.T - codes.square().sum(1)) / codes.shape[1]
        return -torch.cdist(rows, codes, compute_mode="donot_use_mm_for_euclid_dist")


def _rows(pairs: Pairs) -> list[tuple[Float[Tensor, "rows channel"], Float[Tensor, "rows channel"]]]:
    return [(ours.movedim(1, 2).flatten(0, 1), theirs.movedim(1, 2).flatten(0, 1)) for ours, theirs in pairs]


def _codes(rows: Float[Tensor, "rows channel"], most: int) -> nn.Parameter:
    """(codes, channel), means of clusters; kept with what is trained, and not trained."""
    several = np.unique(rows[:: len(rows) // _MOST + 1].double().cpu().numpy(), axis=0)
    if len(several) < 2:
        raise UserError("vqgraph wants a teacher whose rows differ - they are all alike")
    found, _ = kmeans2(several, min(most, len(several)), iter=20, minit="++", rng=np.random.default_rng(0))
    return nn.Parameter(torch.from_numpy(found).to(rows), requires_grad=False)


def _temperature(scores: Float[Tensor, "rows codes"]) -> float:
    """At which the mean entropy of rows is that of five likely codes, or half the greatest possible if that is less."""
    wanted = min(math.log(_LIKELY), math.log(scores.shape[1]) / 2)
    spread = float(scores.std(1).mean())
    low, high = spread / 1e4, spread * 1e4
    for _ in range(60):
        middle = math.sqrt(low * high)
        logs = (scores.double() / middle).log_softmax(-1)
        low, high = (middle, high) if float(-(logs.exp() * logs).sum(-1).mean()) < wanted else (low, middle)
    return math.sqrt(low * high)


LOSS = Loss(settings=VqgraphSettings, make=Vqgraph)
