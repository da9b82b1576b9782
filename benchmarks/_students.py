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
from stillhouse import registry
from stillhouse.contracts.data import Data, Metrics
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.parts import Loss, Search, Workload
from stillhouse.space import cost
from stillhouse.stages.distill import DistillSettings, distill
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import SearchSettings, search
from stillhouse.stages.teach import TeachSettings, teach
from stillhouse.training import checkpoint, machine
from stillhouse.training.score import EVALUATION_SEED, first_batch, score

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

    Metrics are those of the test split, with parameters, MACs, `macs_share` of the teacher's, the validation score that chose the
    epoch, and `search_epochs` and `student_epochs`: the processor time of `search`, and of `search` and `distill` together,
    beside that of a teacher's epoch. A `data` block inside `search` or `distill` is laid over the teacher's.
    """
    sets, seeds = list(sets), list(seeds)
    by_name = {entry.name: entry for entry in sets}
    blocks: dict[str, Block] = {"teacher": {}, **students}
    cells = [cell(entry, name, seed, block) for seed in seeds for entry in sets for name, block in blocks.items()]
    return measure(cells, lambda cell: {cell.set: measured(workload, cell, by_name[cell.set])})


def cell(entry: Set, name: str, seed: int, block: Block) -> Cell:
    """The measurement of a student by its block, or of the teacher by an empty one."""
    drawn = {"draw": entry.draw} if entry.draw else {}
    return Cell(entry.name, name, seed, {**drawn, "prepare": entry.prepare, "teach": entry.teach, "student": block})


def measured(workload: Workload[Any], cell: Cell, entry: Set, *, method: Search | None = None) -> Metrics:
    """One cell's test metrics and costs; cells that differ in the student alone share their teacher.

    `method` is a search that stands in for the one that the block names.
    """
    teacher, block = _teacher(workload, cell, entry), cell.settings["student"]
    found = _student(workload, cell, block, method) if block else teacher
    data = workload.load(workload.data_settings(**entry.teach["data"]), home(cell) / "prepared", test=True)
    own, whole = _facts(workload, found, data), cost.total(_macs(workload, teacher, data))
    return own | {"macs_share": own["macs"] / whole} | _spent(home(cell), found.parent, entry)


def _spent(own: Path, folder: Path, entry: Set) -> Metrics:
    times = read_json(folder / "times.json")
    epoch = read_json(own / "times.json")["seconds"] / entry.teach["fit"]["epochs"]
    student = {"search_epochs": times["search_seconds"] / epoch, "student_epochs": times["seconds"] / epoch} if folder != own else {}
    return {"valid": times["valid"]} | student


def home(cell: Cell) -> Path:
    """Where the teacher of the cell's seed lies, and what it was taught with."""
    return Cell(cell.set, "teacher", cell.seed, cell.settings | {"student": {}}).folder


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


def _teacher(workload: Workload[Any], cell: Cell, entry: Set) -> Path:
    own = home(cell)
    prepared, teacher, times = own / "prepared", own / "teacher", own / "times.json"
    if times.exists():
        return teacher
    made = workload.prepare_settings(**entry.prepare)
    raw = entry.raw(cell.seed) if callable(entry.raw) else entry.raw
    prepare(made, workload, raw=raw, prepared=prepared, rng=machine.seed(EVALUATION_SEED), log=_quiet)
    settings = TeachSettings(
        model=TypeAdapter(workload.model_settings).validate_python(entry.teach["model"]),
        data=workload.data_settings(**entry.teach["data"]),
        given=entry.teach.get("given"),
        fit=entry.teach["fit"],
        nested=entry.teach.get("nested"),
    )
    started = time.process_time()
    best = teach(settings, workload, prepared=prepared, teacher=teacher, rng=machine.seed(cell.seed), log=_quiet)
    write_json(times, {"seconds": time.process_time() - started, "valid": _valid(best)})
    return teacher


def _student(workload: Workload[Any], cell: Cell, block: Block, method: Search | None) -> Path:
    """The folder of the student."""
    found, student = cell.folder / "found", cell.folder / "student"
    method = method or registry.search(block["search"]["method"])
    data, looked = (
        workload.data_settings(**cell.settings["teach"]["data"] | block[verb].get("data", {})) for verb in ("distill", "search")
    )
    asked, leading = _losses(block["search"])
    own = {"settings": method.settings(**block["search"].get("settings", {})), "data": looked, "losses": asked}
    if "model" in block["search"]:
        own["model"] = TypeAdapter(workload.model_settings).validate_python(block["search"]["model"])
    wanted = SearchSettings(**block["search"] | own)
    given: dict[str, Any] = {"prepared": home(cell) / "prepared", "teacher": home(cell) / "teacher", "log": _quiet}
    started = time.process_time()
    clock = registry.clock() if any(budget.unit == "latency" for budget in wanted.budget) else None
    facts = search(wanted, workload, method, clock, leading, **given, found=found, rng=machine.seed(cell.seed))
    searched = time.process_time() - started
    items, losses = _losses(block["distill"])
    how = DistillSettings(**block["distill"] | {"losses": items, "data": data})
    best = distill(how, workload, losses, **given, found=found, student=student, rng=machine.seed(cell.seed))
    times = {"search_seconds": searched, "seconds": time.process_time() - started, "valid": _valid(best), "search": facts}
    write_json(cell.folder / "times.json", times)
    return student


def _losses(block: Block) -> tuple[list[Block], list[Loss]]:
    """The losses of a block with their settings, and as parts."""
    named = block.get("losses", [])
    losses = [registry.loss(item["loss"]) for item in named]
    return [item | {"settings": loss.settings(**item.get("settings", {}))} for item, loss in zip(named, losses, strict=True)], losses


def _valid(best: Metrics) -> float:
    return next(value for name, value in best.items() if name.startswith("valid_"))


def _quiet(record: Mapping[str, Any]) -> None:
    """Progress is told a cell at a time."""
