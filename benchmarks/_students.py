"""Students of one teacher, over seeds: the verbs of the pipeline, from raw data to reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from benchmarks._cells import Cell, Row, measure
from stages import find
from stages.core import checkpoint, cost, machine
from stages.core.files import read_json, write_json
from stages.core.kinds import Data, Metrics, Search, Workload
from stages.core.score import EVALUATION_SEED, first_batch, score
from stages.distill import DistillSettings, distill
from stages.prepare import prepare
from stages.search import SearchSettings, search
from stages.teach import TeachSettings, teach

Block = dict[str, Any]


@dataclass(frozen=True)
class Set:
    """Raw data with the `prepare` and `teach` blocks of its teacher; `raw` of a seed where each has data of its own."""

    name: str
    raw: Path | Callable[[int], Path]
    prepare: Block
    teach: Block
    draw: Block = field(default_factory=dict)
    """How `raw` draws, if it does."""


def run(workload: Workload[Any], sets: Iterable[Set], students: Mapping[str, Block], seeds: Iterable[int]) -> list[Row]:
    """Rows for the teacher and for every student (its `search` and `distill` blocks), all seeds with a teacher of their own.

    A `data` block inside `search` is laid over the teacher's. Metrics are those of the test split, with parameters, MACs,
    `macs_share` of the teacher's, the best validation score and the processor time of `search`, and of `search` and
    `distill` together, beside that of a teacher's epoch: `search_epochs` and `student_epochs`.
    """
    sets, seeds = list(sets), list(seeds)
    by_name = {entry.name: entry for entry in sets}
    blocks: dict[str, Block] = {"teacher": {}, **students}
    cells = [cell(entry, name, seed, block) for seed in seeds for entry in sets for name, block in blocks.items()]
    return measure(cells, lambda cell: {cell.set: measured(workload, cell, by_name[cell.set])})


def cell(entry: Set, name: str, seed: int, block: Block) -> Cell:
    """The measurement of a student by its `search` and `distill` blocks, or of the teacher by an empty one."""
    return Cell(entry.name, name, seed, {"draw": entry.draw, "prepare": entry.prepare, "teach": entry.teach, "student": block})


def measured(workload: Workload[Any], cell: Cell, entry: Set, method: Search | None = None) -> Metrics:
    """Of the teacher's cell, or of a student's, whose search may be another than that of its name."""
    machine.use_workers()
    home = Cell(cell.set, "teacher", cell.seed, cell.settings | {"student": {}}).folder
    prepared, teacher = home / "prepared", home / "teacher"
    if not (teacher / "curve.csv").exists():
        _teach(workload, cell, entry, prepared, teacher)
    block = cell.settings["student"]
    found = _student(workload, cell, method or find.search(block["search"]["method"]), prepared, teacher) if block else teacher
    facts = read_json(found.parent / "times.json")
    epoch = read_json(home / "times.json")["seconds"] / entry.teach["fit"]["epochs"]
    data = workload.load(workload.data_settings(**entry.teach["data"]), prepared, test=True)
    own, whole = _facts(workload, found, data), cost.total(_macs(workload, teacher, data))
    spent = {"search_epochs": facts["search_seconds"] / epoch, "student_epochs": facts["seconds"] / epoch} if block else {}
    return own | {"macs_share": own["macs"] / whole, "valid": facts["valid"]} | spent


def _facts(workload: Workload[Any], path: Path, data: Data[Any]) -> Metrics:
    model, example = _asked(workload, path, data)
    assert data.test is not None
    return score(workload, model, data.test) | cost.summary(model, lambda: workload.apply(model, example))


def _macs(workload: Workload[Any], path: Path, data: Data[Any]) -> cost.Cost:
    model, example = _asked(workload, path, data)
    return cost.macs(model.eval(), lambda: workload.apply(model, example))


def _asked(workload: Workload[Any], path: Path, data: Data[Any]) -> tuple[nn.Module, Any]:
    """A network, and the batch on which its costs are counted."""
    return checkpoint.read_model(workload, path).to(machine.device()), first_batch(data.valid, machine.device())


def _teach(workload: Workload[Any], cell: Cell, entry: Set, prepared: Path, teacher: Path) -> None:
    made = workload.prepare_settings(**entry.prepare)
    raw = entry.raw(cell.seed) if callable(entry.raw) else entry.raw
    prepare(made, workload, raw=raw, prepared=prepared, rng=machine.seed(EVALUATION_SEED), log=_quiet)
    settings = TeachSettings(
        model=TypeAdapter(workload.model_settings).validate_python(entry.teach["model"]),
        data=workload.data_settings(**entry.teach["data"]),
        fit=entry.teach["fit"],
    )
    started = time.process_time()
    metrics = teach(settings, workload, prepared=prepared, teacher=teacher, rng=machine.seed(cell.seed), log=_quiet)
    write_json(teacher.parent / "times.json", {"seconds": time.process_time() - started, "valid": _first(metrics)})


def _student(workload: Workload[Any], cell: Cell, method: Search, prepared: Path, teacher: Path) -> Path:
    block, found, student = cell.settings["student"], cell.folder / "found", cell.folder / "student"
    data = workload.data_settings(**cell.settings["teach"]["data"])
    looked = workload.data_settings(**cell.settings["teach"]["data"] | block["search"].get("data", {}))
    wanted = SearchSettings(**block["search"] | {"settings": method.settings(**block["search"].get("settings", {})), "data": looked})
    given: dict[str, Any] = {"prepared": prepared, "teacher": teacher, "log": _quiet}
    started = time.process_time()
    facts = search(wanted, workload, method, **given, found=found, rng=machine.seed(cell.seed))
    searched = time.process_time() - started
    named = block["distill"]["losses"]
    losses = [find.loss(item["loss"]) for item in named]
    items = [item | {"settings": loss.settings(**item.get("settings", {}))} for item, loss in zip(named, losses, strict=True)]
    how = DistillSettings(**block["distill"] | {"losses": items, "data": data})
    metrics = distill(how, workload, losses, **given, found=found, student=student, rng=machine.seed(cell.seed))
    times = {"search_seconds": searched, "seconds": time.process_time() - started}
    write_json(cell.folder / "times.json", times | {"valid": _first(metrics), "search": facts})
    return student


def _first(metrics: Metrics) -> float:
    return next(iter(metrics.values()))


def _quiet(record: Mapping[str, Any]) -> None:
    """Progress is told a cell at a time."""
