"""Blood cells under a teacher whose backbone has learnt classes of other pictures first: is it better, and what does it teach a student?

The student is that of `bccd`, and so are the losses' weights, which were chosen there on validation under a weaker teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import _students, bccd
from benchmarks._cells import Cell, Row, gains, intervals
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


def run(data: Path) -> list[Row]:
    """`data` holds bccd-320 and cifar10-jpeg; `teacher` is a larger FCOS whose backbone is lent, `fresh teacher` the same afresh.

    `map_gain` is, seed by seed, what each is above the better of `alone` and `longer`, which has twice the passes, on the test; that of
    students which are FCOS themselves is over their own.
    """
    better = taught_by(data)
    fresh = replace(better, teach={name: value for name, value in better.teach.items() if name != "given"})
    every = {title: Method(better, block, WORKLOAD) for title, block in blocks().items()}
    cells, rows = measured(lambda seed: every | {"fresh teacher": Method(fresh, {}, WORKLOAD)}, settings["seeds"])
    found = [row for student in ("", "fcos ") for row in gained(cells, rows, student)]
    return [row for row in rows if row["metric"] in METRICS] + found + intervals(found)


def taught_by(data: Path) -> _students.Set:
    """The cells, and their teacher with the lent backbone."""
    given = lent(data, {"family": "resnet", **settings["backbone"]})
    teach = bccd.teaching({**bccd.settings["teachers"]["fcos"], "backbone": settings["backbone"]})
    return _students.Set("bccd-320", data / "bccd-320" / "bccd-320.parquet", bccd.settings["prepare"], teach | {"given": given})


def blocks() -> Mapping[str, Block]:
    """The students by title, and the teacher, which has no block."""
    return {"teacher": {}} | {f"{prefix}{title}": block for prefix in ("", "fcos ") for title, block in _of_family(prefix).items()}


def _of_family(prefix: str) -> Mapping[str, Block]:
    alone, fit = _as(prefix, bccd.student([])), bccd.settings["distill"]
    longer = alone | {"distill": alone["distill"] | {"fit": fit | {"epochs": 2 * fit["epochs"]}}}
    return {"alone": alone, "longer": longer} | {title: _as(prefix, bccd.student([loss])) for title, loss in weighted().items()}


def _as(prefix: str, block: Block) -> Block:
    """The student, or an FCOS with the student's backbone."""
    if not prefix:
        return block
    model = {**bccd.settings["teachers"]["fcos"], "backbone": bccd.settings["student"]["backbone"]}
    return block | {"search": block["search"] | {"model": model}}


def weighted() -> Mapping[str, Block]:
    """The losses with the weights that `bccd` chose under its FCOS teacher."""
    weights = {row["method"]: row["mean"] for row in recorded(bccd.name)}
    return {loss: bccd.settings["losses"][loss] | {"weight": weights[f"fcos->retinanet+{loss}"]} for loss in settings["losses"]}


def gained(cells: list[Cell], rows: list[Row], prefix: str) -> list[Row]:
    """Gains over the control of a family that is better on the test, in its own favour; teachers are compared with the first."""
    means = {row["method"]: row["mean"] for row in rows if row["metric"] == "map"}
    control = max((f"{prefix}{title}" for title in ("alone", "longer")), key=means.__getitem__)
    own = [cell for cell in cells if cell.method.startswith("fcos ") == bool(prefix)]
    return gains(own, control, "map")
