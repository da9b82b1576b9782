"""Road scenes of which a tenth have a mask, the rest none: what a teacher that has seen all masks adds to a small student.

The rate and the losses' weights are those that `camvid` chose on validation with all masks, and were not chosen anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import _students, camvid
from benchmarks._choices import recorded
from benchmarks._few import Block, Method, ahead, measured
from stillhouse.workloads.pictures.segment import WORKLOAD

name = "camvid_labels"
expected_seconds = 5400
needs_data = True
settings: dict[str, Any] = {
    "seeds": [51, 52, 53],
    "share": 0.1,
    "alone": {"epochs": 340, "batch_size": 8},
    "taught": {"epochs": 45, "batch_size": 4, "unlabelled": 8},
    "losses": ["student+logits", "student+channel-logits"],
}
"""The passes of `alone` over the pictures with a mask, and those of a taught student over all, are as many steps."""
CONTROLS = ("alone", "longer", "beside")


def run(data: Path) -> list[_students.Row]:
    """`data` is the folder of camvid-240.parquet.

    `miou_gain` is seed by seed what a student is above the control that is the best on the test, and `miou_gain_95` half its interval.
    """
    entry = camvid.prepared(data)
    every = {title: Method(entry, block, WORKLOAD) for title, block in _blocks()}
    cells, rows = measured(lambda seed: every, settings["seeds"])
    kept = [row for row in rows if row["metric"] in (*camvid.METRICS, "student_epochs")]
    return kept + ahead(cells, rows, str(settings["share"]), CONTROLS, "miou")


def _blocks() -> Iterator[tuple[str, Block]]:
    chosen = {row["method"]: row["mean"] for row in recorded(camvid.name)}
    rate, at, alone, taught = chosen["student"], settings["share"], settings["alone"], settings["taught"]
    yield "teacher", {}
    yield f"alone@{at}", _student(alone, rate)
    yield f"longer@{at}", _student(alone | {"epochs": 2 * alone["epochs"]}, rate)
    yield f"beside@{at}", _student(taught, rate)
    for method in settings["losses"]:
        yield f"{method.removeprefix('student+')}@{at}", _student(taught, rate, camvid.LOSSES[method][0] | {"weight": chosen[method]})


def _student(how: Block, rate: float, *losses: Block) -> Block:
    """As that of `camvid`, with few masks."""
    found = camvid.student("student", rate)
    data = {"train_limit": settings["share"]} | {name: value for name, value in how.items() if name != "epochs"}
    fit = found["distill"]["fit"] | {"epochs": how["epochs"]}
    return found | {"distill": found["distill"] | {"losses": list(losses), "fit": fit, "data": data}}
