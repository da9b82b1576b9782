"""Road scenes, a class for each pixel: a PSPNet, a narrow one alone, and taught by channels, correlation or pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._choices import best, chosen, named
from stillhouse.workloads.pictures.segment import WORKLOAD

name = "camvid"
expected_seconds = 5400
needs_data = True
_PICTURES = 8
"""In a batch that is scored, and on which costs are counted."""
METRICS = ("miou", "valid", "macs", "parameters")
_TEACHER = {"width": 16, "blocks": [2, 2, 2, 2], "dilated": 2, "bins": [1, 2, 3, 6], "head": 64}
_RATES = (3e-3, 1e-2)
_FIT = {"epochs": 40, "optimizer": "adamw", "weight_decay": 1e-4, "schedule": "cosine"}
_SEARCH = {"method": "uniform", "budget": {"unit": "macs", "share": 1 / 10}, "weights": "scratch"}
LOSSES: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "student+channel-logits": ({"loss": "channel", "settings": {"pairs": ["logits"], "temperature": 4.0}}, (0.3, 1.0, 3.0)),
    "student+channel-features": ({"loss": "channel", "settings": {"pairs": ["pyramid"], "temperature": 4.0}}, (1.0, 5.0, 25.0)),
    "student+pearson": ({"loss": "pearson", "settings": {"pairs": ["pyramid"]}}, (0.3, 1.0, 3.0)),
    "student+logits": ({"loss": "logits", "settings": {"temperature": 1.0}}, (0.3, 1.0, 3.0)),
}
settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "prepare": {"valid_names": "0006R0", "size": [120, 160]},
    "model": _TEACHER,
    "data": {"batch_size": 8, "evaluation_batch_size": _PICTURES, "crop": [80, 112], "scale": [0.75, 1.5], "flip": True},
    "fit": {**_FIT, "epochs": 120, "learning_rate": 3e-3},
    "student": {"search": _SEARCH, "fit": _FIT, "rates": list(_RATES)},
    "losses": {method: {**loss, "weights": list(weights)} for method, (loss, weights) in LOSSES.items()},
}


def run(data: Path) -> list[_students.Row]:
    """`data` is the folder of camvid-240.parquet. The drive 0006R0 is validated on; costs are of one picture.

    The learning rate is the one that is best for the student alone, each loss has its own weight: those with the best mean score on
    the validation split over all seeds. The rows of what was not chosen are there too.
    """
    entry = prepared(data)
    rows = measured(entry, {named("student", rate): student("student", rate) for rate in _RATES}, settings["seeds"])
    rate = best(rows, "student", _RATES)
    found = chosen(rows, "student", _RATES)
    for method, (_, weights) in LOSSES.items():
        tried = {named(method, weight): student(method, rate, weight) for weight in weights}
        rows += [row for row in measured(entry, tried, settings["seeds"]) if row["method"] != "teacher"]
        found += chosen(rows, method, weights)
    return found + rows


def prepared(data: Path) -> _students.Set:
    """The pictures in that folder, and how their teacher learns."""
    teach = {name: settings[name] for name in ("model", "data", "fit")}
    return _students.Set("camvid-240", data / "camvid-240.parquet", settings["prepare"], teach)


def measured(entry: _students.Set, students: dict[str, _students.Block], seeds: list[int]) -> list[_students.Row]:
    """Rows for the teacher and the students."""
    rows = [row for row in _students.run(WORKLOAD, [entry], students, seeds) if row["metric"] in METRICS]
    return [of_one_picture(row) if row["metric"] == "macs" else row for row in rows]


def of_one_picture(row: _students.Row) -> _students.Row:
    """MACs, which are counted on a batch."""
    return row | {name: row[name] / _PICTURES for name in ("mean", "sd")}


def student(method: str, rate: float, weight: float = 1.0) -> _students.Block:
    """The small network, alone or with the loss of that name."""
    losses = [{**LOSSES[method][0], "weight": weight}] if method in LOSSES else []
    return {"search": _SEARCH, "distill": {"losses": losses, "start": "fresh", "fit": {**_FIT, "learning_rate": rate}}}
