"""Road scenes on seeds that had no part in the choices of `camvid`: what each loss gains over the student alone of its seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _students, camvid
from benchmarks._cells import gains
from benchmarks._choices import named, recorded, unnamed

name = "camvid_gains"
expected_seconds = 6200
needs_data = True
settings: dict[str, Any] = camvid.settings | {"seeds": [45, 46, 47, 48, 49, 50]}


def run(data: Path) -> list[_students.Row]:
    """`data` is the folder of camvid-240.parquet. Rate and weights are those in the results of `camvid`, from seeds of its own."""
    entry, chosen = camvid.prepared(data), recorded(camvid.name)
    weights = {row["method"]: row["mean"] for row in chosen}
    rate = weights.pop("student")
    alone = {named("student", rate): camvid.student("student", rate)}
    taught = {named(method, weight): camvid.student(method, rate, weight) for method, weight in weights.items()}
    rows = camvid.measured(entry, alone | taught, settings["seeds"])
    blocks: dict[str, _students.Block] = {"teacher": {}} | alone | taught
    cells = [_students.cell(entry, name, seed, block) for name, block in blocks.items() for seed in settings["seeds"]]
    rows += gains(cells, *alone, "miou") + gains(cells, *alone, "valid")
    return [unnamed(row) for row in rows + chosen]
