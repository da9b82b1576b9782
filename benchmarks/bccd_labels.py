"""Blood cells of which a tenth of the pictures have boxes, the rest none: what a teacher that has seen all boxes adds to a small student.

The teacher is the one of `bccd_backbones`, the student that of `bccd`, and so are the losses' weights, chosen there with all boxes. The
rate is chosen anew on validation, for the student alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import _students, bccd, bccd_backbones
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, ahead, measured
from stillhouse.workloads.pictures.detect import WORKLOAD

name = "bccd_labels"
expected_seconds = 4500
needs_data = True
settings: dict[str, Any] = {
    "seeds": [7, 8, 9],
    "share": 0.1,
    "alone": {"epochs": 144, "batch_size": 8},
    "taught": {"epochs": 18, "batch_size": 4, "unlabelled": 8},
    "rates": [1e-3, 3e-3, 1e-2],
    "losses": ["channel", "pearson"],
}
"""The passes of `alone` over the pictures with boxes, and those of a taught student over all, are as many steps."""
CONTROLS = ("alone", "longer", "beside")


def run(data: Path) -> list[_students.Row]:
    """`data` holds bccd-320 and cifar10-jpeg.

    `map_gain` is seed by seed what a student is above the control that is the best on the test, and `map_gain_95` half its interval.
    """
    entry = bccd_backbones.taught_by(data)
    tried = measured(lambda seed: {title: Method(entry, block, WORKLOAD) for title, block in rates().items()}, settings["seeds"])[1]
    rate = best(tried, f"alone@{settings['share']}", settings["rates"])
    every = {title: Method(entry, block, WORKLOAD) for title, block in blocks(rate).items()}
    cells, rows = measured(lambda seed: every, settings["seeds"])
    kept = [row for row in tried + rows if row["metric"] in bccd_backbones.METRICS]
    return kept + ahead(cells, rows, str(settings["share"]), CONTROLS, "map")


def rates() -> Mapping[str, Block]:
    """The student alone at each rate."""
    return {named(f"alone@{settings['share']}", rate): student(settings["alone"], rate) for rate in settings["rates"]}


def blocks(rate: float) -> Mapping[str, Block]:
    """The students at the rate that was chosen, and the teacher, which has no block."""
    alone, taught = settings["alone"], settings["taught"]
    found = {
        "alone": student(alone, rate),
        "longer": student(alone | {"epochs": 2 * alone["epochs"]}, rate),
        "beside": student(taught, rate),
        **{name: student(taught, rate, loss) for name, loss in bccd_backbones.weighted().items() if name in settings["losses"]},
    }
    return {"teacher": {}} | {f"{title}@{settings['share']}": block for title, block in found.items()}


def student(how: Block, rate: float, *losses: Block) -> Block:
    """As that of `bccd`, with few boxes."""
    found = bccd.student(list(losses))
    data = {"train_limit": settings["share"]} | {name: value for name, value in how.items() if name != "epochs"}
    fit = found["distill"]["fit"] | {"epochs": how["epochs"], "learning_rate": rate}
    return found | {"distill": found["distill"] | {"fit": fit, "data": data}}
