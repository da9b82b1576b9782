"""quality: the workload's own scores of teacher and student on the test split."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.training.score import passes, score


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """`teacher_NAME` and `student_NAME` for each metric of the workload, and `test_examples`: the rows that were answered."""
    scores = {who: score(pair.workload, model, pair.test) for who, model in pair.models.items()}
    found = {f"{who}_{name}": value for who, row in scores.items() for name, value in row.items()}
    rows = sum(len(output.prediction) for output, _ in passes(pair.workload, pair.student, pair.test))
    return found | {"test_examples": float(rows)}


EVALUATION = Evaluation(Settings, run)
