"""agreement: how alike the predictions of student and teacher are on the test split, whether or not they are right."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.training.score import agreement, passes


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """The mean over rows, by the workload's own measure if it has one."""
    both = zip(*(passes(pair.workload, model, pair.test) for model in (pair.teacher, pair.student)), strict=True)
    compare = pair.workload.agreement or agreement
    return {"agreement": float(torch.cat([compare(first, second) for (first, _), (second, _) in both]).mean())}


EVALUATION = Evaluation(Settings, run)
