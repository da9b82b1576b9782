"""quality: the workload's own scores of teacher and student on the test split."""

from __future__ import annotations

from typing import Any

import torch

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.training.score import passes, score


def run(pair: Pair[Any], settings: Settings, rng: torch.Generator) -> Metrics:
    """`teacher_NAME` and `student_NAME` for each metric of the workload, and `test_examples`: the rows that were answered.

    A model that is no better than the workload's floor is told, and has a remark in the report.
    """
    scores = {who: score(pair.workload, model, pair.test) for who, model in pair.models.items()}
    for who, row in scores.items():
        _tell_of_the_floor(pair, who, row)
    found = {f"{who}_{name}": value for who, row in scores.items() for name, value in row.items()}
    rows = sum(len(output.prediction) for output, _ in passes(pair.workload, pair.student, pair.test))
    return found | {"test_examples": float(rows)}


def _tell_of_the_floor(pair: Pair[Any], who: str, row: Metrics) -> None:
    floor = pair.workload.floor
    if floor is None or floor.metric not in row:
        return
    value = row[floor.metric]
    if (value > floor.value) if pair.workload.higher_is_better else (value < floor.value):
        return
    told = f"the {who}'s {floor.metric} is {value:.4g} on the test split, no better than {floor.value:g}: {floor.instead} does as well"
    pair.remarks[f"{who}_{floor.metric}"] = told
    print(told)


EVALUATION = Evaluation(Settings, run)
