"""Road scenes on seeds that had no part in the choices of `camvid`: what each loss gains over the student alone of its seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _students, camvid
from benchmarks.__main__ import RESULTS
from benchmarks._choices import named
from stages.core.files import read_json

name = "camvid_gains"
expected_seconds = 8000
needs_data = True
settings: dict[str, Any] = camvid.settings | {"seeds": [45, 46, 47, 48, 49, 50]}


def run(data: Path) -> list[_students.Row]:
    """`data` is the folder of camvid-240.parquet. Rate and weights are those in the results of `camvid`, from seeds of its own."""
    entry, chosen = camvid.prepared(data), _chosen()
    rate = chosen.pop("student")
    alone = {named("student", rate): camvid.student("student", rate)}
    taught = {named(method, weight): camvid.student(method, rate, weight) for method, weight in chosen.items()}
    rows = camvid.measured(entry, alone | taught, settings["seeds"])
    rows += _students.gains(entry, alone | taught, settings["seeds"], *alone, "miou")
    return [row | {"method": row["method"].partition(" ")[0]} for row in rows]


def _chosen() -> dict[str, float]:
    rows: list[_students.Row] = read_json(RESULTS / "camvid.json")["rows"]
    return {row["method"]: row["mean"] for row in rows if row["metric"] == "chosen"}
