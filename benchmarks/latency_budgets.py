"""Students of the teachers of params.yaml at half the multiply-accumulates, and at 0.65 of the latency on ONNX Runtime besides."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks import _students, latency
from benchmarks._cells import ROOT, Cell, Row, measure
from benchmarks._timed import Subject
from benchmarks.latency import times
from stillhouse import registry
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parts import Workload
from stillhouse.runner.entries import Entries
from stillhouse.runtimes.clock import with_threads
from stillhouse.training import checkpoint
from stillhouse.training.score import first_batch

name = "latency_budgets"
expected_seconds = 1500
_MACS = {"unit": "macs", "share": 0.5}
settings: dict[str, Any] = {
    "seeds": 3,
    "threads": latency.settings["threads"],
    "runtime": "onnx",
    "students": ["digits-dms", "us-income-dms", "umls-dms", "calls-dms"],
    "budgets": {
        "half the MACs": [_MACS],
        "half the MACs, 0.65 of the latency": [{"unit": "latency", "share": 0.65, "runtime": "onnx", "multiple": 16}, _MACS],
    },
}


def run(data: Path | None = None) -> Iterator[Row]:
    """`quality` is the first metric of the test split (of `calls` an error); `latency_share` is of the teacher's."""
    with with_threads(int(settings["threads"])):
        yield from measure(cells(), lambda cell: {cell.set: measured(cell)})


def cells() -> Iterator[Cell]:
    """Seed after seed: a teacher, and a student of each budget."""
    for seed in range(int(settings["seeds"])):
        for student in settings["students"]:
            teacher, block = _entries()[student]
            yield _students.cell(_set(teacher), "teacher", seed, {})
            for title, budgets in settings["budgets"].items():
                yield _students.cell(_set(teacher), title, seed, _student(block, budgets))


@cache
def _entries() -> dict[str, tuple[str, _students.Block]]:
    """Student -> its teacher's name and its block in params.yaml."""
    blocks = Entries.read(ROOT / "params.yaml").values["students"]
    return {name: (blocks[name]["teacher"], blocks[name]) for name in settings["students"]}


@cache
def _teachers() -> dict[str, _students.Block]:
    return Entries.read(ROOT / "params.yaml").values["teachers"]


def _set(teacher: str) -> _students.Set:
    entry = _teachers()[teacher]
    return _students.Set(teacher, ROOT / entry["raw"], entry["prepare"], entry["teach"])


def _student(block: _students.Block, budgets: list[_students.Block]) -> _students.Block:
    return {"search": block["search"] | {"budget": budgets}, "distill": block["distill"]}


def measured(cell: Cell) -> Metrics:
    """Of one cell; where the search had a latency to keep to, with the one that it predicted."""
    entry, workload = _set(cell.set), registry.workload(_teachers()[cell.set]["workload"])
    found = _students.measured(workload, cell, entry)
    own = {"quality": next(iter(found.values())), "macs_share": found["macs_share"]}
    return own | (_timed(workload, cell, entry) if cell.settings["student"] else {})


def _timed(workload: Workload[Any], cell: Cell, entry: _students.Set) -> Metrics:
    """Milliseconds on ONNX Runtime, of teacher and student in turns."""
    home = _students.home(cell)
    data = workload.load(workload.data_settings(**entry.teach["data"]), home / "prepared")
    example = first_batch(data.valid, torch.device("cpu"))
    models = {
        "teacher": checkpoint.read_model(workload, home / "teacher"),
        "student": checkpoint.read_model(workload, cell.folder / "student"),
    }
    took = times(Subject(workload, example, lambda _: models["teacher"]), models, settings["runtime"], latency.settings)
    searched = read_json(cell.folder / "times.json")["search"]
    told = {name: value for name, value in searched.items() if name.startswith("latency_")}
    return {"latency_share": took["student"] / took["teacher"], "teacher_ms": took["teacher"], "student_ms": took["student"]} | told
