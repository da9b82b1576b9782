"""Road scenes of which a tenth have a mask, the rest none: what a teacher that has seen all masks adds to a small student.

The rate is chosen on validation for the student alone, and the losses' weights likewise under that rate, as `camvid` does with all masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import _students, camvid, camvid_backbones
from benchmarks._choices import best, named
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
    "rates": [3e-3, 1e-2, 3e-2],
    "weights": {"student+logits": [1.0, 3.0, 9.0], "student+channel-logits": [1.0, 3.0]},
    "better": "student+logits",
}
"""The passes of `alone` over the pictures with a mask, and those of a taught student over all, are as many steps."""
CONTROLS = ("alone", "longer", "beside")


def run(data: Path) -> list[_students.Row]:
    """`data` holds camvid-240 and cifar10-jpeg; `better` is taught as `logits` is, by the teacher of `camvid_backbones`.

    `miou_gain` is seed by seed what a student is above the control that is the best on the test, and `miou_gain_95` half its interval.
    """
    entry, share = camvid.prepared(data / "camvid-240"), settings["share"]
    tried = _tried(entry, {f"alone@{share}": {rate: _student(settings["alone"], rate) for rate in settings["rates"]}})
    rate = best(tried, f"alone@{share}", settings["rates"])
    weighted = {_title(loss): {weight: _taught(loss, weight, rate) for weight in found} for loss, found in settings["weights"].items()}
    tried += _tried(entry, weighted)
    weights = {loss: best(tried, _title(loss), found) for loss, found in settings["weights"].items()}
    every = {title: Method(entry, block, WORKLOAD) for title, block in _blocks(rate, weights)}
    better = camvid_backbones.small(_taught(settings["better"], weights[settings["better"]], rate))
    every[f"better@{share}"] = Method(camvid_backbones.taught_by(data), better, WORKLOAD)
    cells, rows = measured(lambda seed: every, settings["seeds"])
    kept = [row for row in tried + rows if row["metric"] in (*camvid.METRICS, "student_epochs")]
    return kept + ahead(cells, rows, str(share), CONTROLS, "miou")


def _tried(entry: _students.Set, values: Mapping[str, Mapping[float, Block]]) -> list[_students.Row]:
    """Methods with each of their values."""
    every = {named(title, value): Method(entry, block, WORKLOAD) for title, found in values.items() for value, block in found.items()}
    return measured(lambda seed: every, settings["seeds"])[1]


def _title(loss: str) -> str:
    return f"{loss.removeprefix('student+')}@{settings['share']}"


def _blocks(rate: float, weights: Mapping[str, float]) -> Iterator[tuple[str, Block]]:
    at, alone = settings["share"], settings["alone"]
    yield "teacher", {}
    yield f"alone@{at}", _student(alone, rate)
    yield f"longer@{at}", _student(alone | {"epochs": 2 * alone["epochs"]}, rate)
    yield f"beside@{at}", _student(settings["taught"], rate)
    for loss, weight in weights.items():
        yield _title(loss), _taught(loss, weight, rate)


def _taught(loss: str, weight: float, rate: float) -> Block:
    return _student(settings["taught"], rate, camvid.LOSSES[loss][0] | {"weight": weight})


def _student(how: Block, rate: float, *losses: Block) -> Block:
    """As that of `camvid`, with few masks."""
    found = camvid.student("student", rate)
    data = {"train_limit": settings["share"]} | {name: value for name, value in how.items() if name != "epochs"}
    fit = found["distill"]["fit"] | {"epochs": how["epochs"]}
    return found | {"distill": found["distill"] | {"losses": list(losses), "fit": fit, "data": data}}
