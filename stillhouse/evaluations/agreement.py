"""agreement: how alike the predictions of student and teacher are on the test split, whether or not they are right."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.training.score import agreement, passes


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """The mean over rows, by the workload's own measure if it has one.

    A correlation that does not exist, of one value or of values that are all alike, is left out, and said where none does.
    """
    both = zip(*(passes(pair.workload, model, pair.test) for model in (pair.teacher, pair.student)), strict=True)
    compare = pair.workload.agreement or agreement
    alike = torch.cat([compare(first, second) for (first, _), (second, _) in both])
    known = alike[alike.isfinite()]
    if not len(known):
        pair.remarks["agreement"] = "teacher and student cannot be compared: the predictions of one of them do not vary"
    return {"agreement": float(known.mean()) if len(known) else 0.0}


EVALUATION = Evaluation(Settings, run)
