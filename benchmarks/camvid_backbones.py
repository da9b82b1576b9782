"""Road scenes under a teacher whose backbone has learnt classes of other pictures first: is it better, and what does it teach a student?

The student is that of `camvid`. Its rate and the losses' weights are those that were chosen there on validation, under a weaker teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import _students, camvid
from benchmarks._cells import gains as gained
from benchmarks._cells import intervals
from benchmarks._choices import recorded
from benchmarks._few import Block, Method, measured
from benchmarks._lent import lent
from stillhouse.workloads.pictures.segment import WORKLOAD

name = "camvid_backbones"
expected_seconds = 5400
needs_data = True
settings: dict[str, Any] = {
    "seeds": [51, 52, 53],
    "fresh": [51],
    "width": 24,
    "pictures": {"family": "resnet", "blocks": [2, 2, 2, 2], "dilated": 2},
    "macs": 218_739_200,
    "losses": ["student+logits", "student+channel-logits", "student+pearson"],
}
"""`fresh` are the seeds of a teacher that begins afresh. `macs` are those of a batch of eight pictures of the student of `camvid`."""


def run(data: Path) -> list[_students.Row]:
    """`data` holds camvid-240 and cifar10-jpeg; `teacher` has the lent backbone, `fresh teacher` is the same network from fresh weights.

    `miou_gain` is, seed by seed, what a student is above the better of `alone` and `longer`, which has twice the passes, on the test.
    """
    better = taught_by(data)
    wide = {name: value for name, value in better.teach.items() if name != "given"}
    cells, rows = measured(lambda seed: {title: Method(better, block, WORKLOAD) for title, block in _blocks().items()}, settings["seeds"])
    fresh = measured(lambda seed: {"fresh teacher": Method(replace(better, teach=wide), {}, WORKLOAD)}, settings["fresh"])[1]
    gains = gained(cells, _better(rows), "miou")
    kept = [row for row in rows + fresh if row["metric"] in (*camvid.METRICS, "student_epochs")]
    return [camvid.of_one_picture(row) if row["metric"] == "macs" else row for row in kept] + gains + intervals(gains)


def taught_by(data: Path) -> _students.Set:
    """The pictures, and their teacher with the lent backbone."""
    entry = camvid.prepared(data / "camvid-240")
    wide = {**entry.teach, "model": {**entry.teach["model"], "width": settings["width"]}}
    return replace(entry, teach=wide | {"given": lent(data, settings["pictures"] | {"width": settings["width"]})})


def _blocks() -> Mapping[str, Block]:
    chosen = {row["method"]: row["mean"] for row in recorded(camvid.name)}
    rate = chosen["student"]
    alone = small(camvid.student("student", rate))
    taught = {method.removeprefix("student+"): small(camvid.student(method, rate, chosen[method])) for method in settings["losses"]}
    return {"teacher": {}, "alone": alone, "longer": _longer(alone), **taught}


def small(block: Block) -> Block:
    """Of the network that `camvid` cuts from its teacher, which is not this one."""
    own = {"model": camvid.settings["model"], "budget": {"unit": "macs", "value": settings["macs"]}}
    return block | {"search": block["search"] | own}


def _longer(block: Block) -> Block:
    fit = block["distill"]["fit"]
    return block | {"distill": block["distill"] | {"fit": fit | {"epochs": 2 * fit["epochs"]}}}


def _better(rows: list[_students.Row]) -> str:
    """The control that is better on the test, in its own favour."""
    means = {row["method"]: row["mean"] for row in rows if row["metric"] == "miou"}
    return max(("alone", "longer"), key=means.__getitem__)
