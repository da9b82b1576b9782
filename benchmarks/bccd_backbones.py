"""Blood cells under a teacher whose backbone has learnt classes of other pictures first: is it better, and what does it teach a student?

The student is that of `bccd`, and so are the losses' weights, which were chosen there on validation under a weaker teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import _students, bccd
from benchmarks._cells import gains, intervals
from benchmarks._choices import recorded
from benchmarks._few import Block, Method, measured
from benchmarks._lent import lent
from stillhouse.workloads.pictures.detect import WORKLOAD

name = "bccd_backbones"
expected_seconds = 3600
needs_data = True
settings: dict[str, Any] = {
    "seeds": [7, 8, 9],
    "backbone": {"width": 48, "blocks": [2, 2, 2]},
    "losses": ["channel", "pearson"],
}
METRICS = ("map", "map_50", "valid", "macs", "parameters", "student_epochs")


def run(data: Path) -> list[_students.Row]:
    """`data` holds bccd-320 and cifar10-jpeg; `teacher` is a larger FCOS whose backbone is lent, `fresh teacher` the same afresh.

    `map_gain` is, seed by seed, what each is above the better of `alone` and `longer`, which has twice the passes, on the test.
    """
    given = lent(data, {"family": "resnet", **settings["backbone"]})
    teach = bccd.teaching({**bccd.settings["teachers"]["fcos"], "backbone": settings["backbone"]})
    fresh = _students.Set("bccd-320", data / "bccd-320" / "bccd-320.parquet", bccd.settings["prepare"], teach)
    better = _students.Set(fresh.name, fresh.raw, fresh.prepare, teach | {"given": given})
    every = {title: Method(better, block, WORKLOAD) for title, block in blocks().items()}
    cells, rows = measured(lambda seed: every | {"fresh teacher": Method(fresh, {}, WORKLOAD)}, settings["seeds"])
    found = gains(cells, control(rows), "map")
    return [row for row in rows if row["metric"] in METRICS] + found + intervals(found)


def blocks() -> Mapping[str, Block]:
    """The students by title, and the teacher, which has no block."""
    weights = {row["method"]: row["mean"] for row in recorded(bccd.name)}
    taught = {loss: bccd.settings["losses"][loss] | {"weight": weights[f"fcos->retinanet+{loss}"]} for loss in settings["losses"]}
    alone = bccd.student([])
    fit = alone["distill"]["fit"]
    longer = alone | {"distill": alone["distill"] | {"fit": fit | {"epochs": 2 * fit["epochs"]}}}
    return {"teacher": {}, "alone": alone, "longer": longer} | {title: bccd.student([loss]) for title, loss in taught.items()}


def control(rows: list[_students.Row]) -> str:
    """The control that is better on the test, in its own favour."""
    means = {row["method"]: row["mean"] for row in rows if row["metric"] == "map"}
    return max(("alone", "longer"), key=means.__getitem__)
