"""Students of one teacher, over seeds: the verbs of the pipeline, from raw data to reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks._cells import Cell, Row, measure
from stages import find
from stages.core import checkpoint, cost, machine
from stages.core.kinds import Data, Metrics, Workload
from stages.core.score import EVALUATION_SEED, first_batch, score
from stages.distill import DistillSettings, distill
from stages.prepare import prepare
from stages.search import SearchSettings, search
from stages.teach import TeachSettings, teach

Block = dict[str, Any]


@dataclass(frozen=True)
class Set:
    """Raw data with the `prepare` and `teach` blocks of its teacher."""

    name: str
    raw: Path
    prepare: Block
    teach: Block


def run(workload: Workload[Any], sets: Iterable[Set], students: Mapping[str, Block], seeds: Iterable[int]) -> list[Row]:
    """Rows for the teacher and for every student (its `search` and `distill` blocks), all seeds with a teacher of their own.

    Metrics are those of the test split, with parameters, MACs and `macs_share` of the teacher's.
    """
    sets, seeds = list(sets), list(seeds)
    by_name = {entry.name: entry for entry in sets}
    blocks: dict[str, Block] = {"teacher": {}, **students}
    cells = [
        Cell(entry.name, name, seed, {"prepare": entry.prepare, "teach": entry.teach, "student": block})
        for entry in sets
        for seed in seeds
        for name, block in blocks.items()
    ]
    return measure(cells, lambda cell: {cell.set: measured(workload, cell, by_name[cell.set])})


def measured(workload: Workload[Any], cell: Cell, entry: Set) -> Metrics:
    """One cell's test metrics and costs; cells whose settings differ in the student alone share their teacher."""
    machine.use_workers()
    home = Cell(cell.set, "teacher", cell.seed, cell.settings | {"student": {}}).folder
    prepared, teacher = home / "prepared", home / "teacher"
    if not (teacher / "curve.csv").exists():
        _teach(workload, cell, entry, prepared, teacher)
    block = cell.settings["student"]
    found = _student(workload, cell, block, prepared, teacher) if block else teacher
    data = workload.load(workload.data_settings(**entry.teach["data"]), prepared, test=True)
    own, whole = (_facts(workload, path, data) for path in (found, teacher))
    return own | {"macs_share": own["macs"] / whole["macs"]}


def _facts(workload: Workload[Any], path: Path, data: Data[Any]) -> Metrics:
    model = checkpoint.read_model(workload, path).to(machine.device())
    assert data.test is not None
    example = first_batch(data.valid, machine.device())
    return score(workload, model, data.test) | cost.summary(model, lambda: workload.apply(model, example))


def _teach(workload: Workload[Any], cell: Cell, entry: Set, prepared: Path, teacher: Path) -> None:
    made = workload.prepare_settings(**entry.prepare)
    prepare(made, workload, raw=entry.raw, prepared=prepared, rng=machine.seed(EVALUATION_SEED), log=_quiet)
    settings = TeachSettings(
        model=TypeAdapter(workload.model_settings).validate_python(entry.teach["model"]),
        data=workload.data_settings(**entry.teach["data"]),
        fit=entry.teach["fit"],
    )
    teach(settings, workload, prepared=prepared, teacher=teacher, rng=machine.seed(cell.seed), log=_quiet)


def _student(workload: Workload[Any], cell: Cell, block: Block, prepared: Path, teacher: Path) -> Path:
    found, student = cell.folder / "found", cell.folder / "student"
    method = find.search(block["search"]["method"])
    data = workload.data_settings(**cell.settings["teach"]["data"])
    own = {"settings": method.settings(**block["search"].get("settings", {})), "data": data}
    if "model" in block["search"]:
        own["model"] = TypeAdapter(workload.model_settings).validate_python(block["search"]["model"])
    wanted = SearchSettings(**block["search"] | own)
    given: dict[str, Any] = {"prepared": prepared, "teacher": teacher, "log": _quiet}
    search(wanted, workload, method, **given, found=found, rng=machine.seed(cell.seed))
    named = block["distill"]["losses"]
    losses = [find.loss(item["loss"]) for item in named]
    items = [item | {"settings": loss.settings(**item.get("settings", {}))} for item, loss in zip(named, losses, strict=True)]
    how = DistillSettings(**block["distill"] | {"losses": items, "data": data})
    distill(how, workload, losses, **given, found=found, student=student, rng=machine.seed(cell.seed))
    return student


def _quiet(record: Mapping[str, Any]) -> None:
    """Progress is told a cell at a time."""
