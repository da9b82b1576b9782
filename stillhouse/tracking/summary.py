"""What an execution's run says of it in a list of runs: which students it was about, how good they are and at which share of the costs."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.comparison.table import quality_and_share
from stillhouse.record.run_record import Closing, RunRecord
from stillhouse.tracking import entities

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STUDENTS = "stillhouse.students"
_DESCRIPTION = "mlflow.note.content"
_LONGEST = 8000
"""Characters of a tag in MLflow."""
_VERBS = ("search", "distill", "evaluate")


def students(stages: Iterable[str]) -> list[str]:
    """The students that some stages belong to."""
    return list(dict.fromkeys(name for verb, _, name in (stage.partition("@") for stage in stages) if verb in _VERBS))


def results(root: Path, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Quality and share of the students whose report lies in the project; a report that cannot be read, or is an old one, is left out."""
    found = {}
    for name in names:
        with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            found[name] = quality_and_share(json.loads((root / "data" / "reports" / name / "report.json").read_text(encoding="utf-8")))
    return found


def evaluated(record: RunRecord) -> list[str]:
    """The student that a record has just found the results of, if any."""
    verb, _, name = record.stage.partition("@")
    return [name] if verb == "evaluate" and record.status == "FINISHED" else []


def valid(closing: Closing, ran: Mapping[str, Run]) -> dict[str, Mapping[str, float]]:
    """The results that belong to an execution; what lies in place after a failure may be of an earlier one."""

    def belongs(stage: str) -> bool:
        state = closing.stages[stage].state if stage in closing.stages else ""
        return closing.status == "FINISHED" or state == "unchanged" or (stage in ran and ran[stage].info.status == "FINISHED")

    return {name: numbers for name, numbers in closing.results.items() if belongs(f"evaluate@{name}")}


def name_students(client: MlflowClient, run: str, stages: Collection[str]) -> None:
    """Adds the students of some stages to the description of an execution's run, and to its tag `stillhouse.students`."""
    before = client.get_run(run).data.tags.get(STUDENTS, "")
    names = list(dict.fromkeys([*before.split(", "), *students(stages)])) if before else students(stages)
    if (text := ", ".join(names)) != before:
        client.set_tag(run, STUDENTS, text[:_LONGEST])
        client.set_tag(run, _DESCRIPTION, f"Students: {text}"[:_LONGEST])


def log_results(client: MlflowClient, run: str, found: Mapping[str, Mapping[str, float]], time: int) -> None:
    """Makes quality and share of each student metrics of an execution's run: `umls-dms.quality`, `umls-dms.share`."""
    from mlflow.entities import Metric

    flat = {f"{name}.{key}": value for name, numbers in found.items() for key, value in numbers.items() if math.isfinite(value)}
    if flat:
        client.log_batch(run, [Metric(entities.name(key), value, time, 0) for key, value in flat.items()])
