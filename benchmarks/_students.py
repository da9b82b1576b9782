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
from stages.core.files import read_json, write_json
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

    Metrics are those of the test split, with parameters, MACs and `macs_share` of the teacher's. A student may have `choices`,
    blocks that each change its `distill` block: it is trained with the one that scores best on the validation split with the first
    seed, and the metric `chosen` is that one's number from 0.
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
    return measure(cells, lambda cell: {cell.set: measured(workload, cell, by_name[cell.set], seeds[0])})


def measured(workload: Workload[Any], cell: Cell, entry: Set, first: int) -> Metrics:
    """One cell's test metrics and costs; cells that differ in the student alone share their teacher. `first` is the first seed."""
    machine.use_workers()
    teacher, block = _teacher(workload, cell, entry), cell.settings["student"]
    found, facts = teacher, {}
    if "choices" in block:
        trial = Cell(cell.set, cell.method, first, cell.settings)
        _teacher(workload, trial, entry)
        chosen = _best(workload, trial, block)
        found, facts = _tried(workload, cell, block, chosen)[0], {"chosen": float(chosen)}
    elif block:
        found = _student(workload, cell, block, cell.folder)[0]
    data = workload.load(workload.data_settings(**entry.teach["data"]), _home(cell) / "prepared", test=True)
    own, whole = (_facts(workload, path, data) for path in (found, teacher))
    return own | {"macs_share": own["macs"] / whole["macs"]} | facts


def _best(workload: Workload[Any], cell: Cell, block: Block) -> int:
    sign = 1 if workload.higher_is_better else -1
    scores = [sign * _tried(workload, cell, block, number)[1] for number in range(len(block["choices"]))]
    return max(range(len(scores)), key=scores.__getitem__)


def _tried(workload: Workload[Any], cell: Cell, block: Block, number: int) -> tuple[Path, float]:
    """The student of one choice and its validation score; what was trained before is not trained again."""
    folder = cell.folder / f"choice-{number}"
    if not (folder / "valid.json").exists():
        changed = block | {"distill": block["distill"] | block["choices"][number]}
        valid = _student(workload, cell, changed, folder)[1]
        write_json(folder / "valid.json", valid)
        print(f"{cell.set} {cell.method} seed {cell.seed}: choice {number}, valid {valid:.4f}", flush=True)
    return folder / "student", read_json(folder / "valid.json")


def _home(cell: Cell) -> Path:
    """Where the teacher of the cell's seed lies, and what it was taught with."""
    return Cell(cell.set, "teacher", cell.seed, cell.settings | {"student": {}}).folder


def _facts(workload: Workload[Any], path: Path, data: Data[Any]) -> Metrics:
    model = checkpoint.read_model(workload, path).to(machine.device())
    assert data.test is not None
    example = first_batch(data.valid, machine.device())
    return score(workload, model, data.test) | cost.summary(model, lambda: workload.apply(model, example))


def _teacher(workload: Workload[Any], cell: Cell, entry: Set) -> Path:
    prepared, teacher = _home(cell) / "prepared", _home(cell) / "teacher"
    if (teacher / "curve.csv").exists():
        return teacher
    made = workload.prepare_settings(**entry.prepare)
    prepare(made, workload, raw=entry.raw, prepared=prepared, rng=machine.seed(EVALUATION_SEED), log=_quiet)
    settings = TeachSettings(
        model=TypeAdapter(workload.model_settings).validate_python(entry.teach["model"]),
        data=workload.data_settings(**entry.teach["data"]),
        fit=entry.teach["fit"],
    )
    teach(settings, workload, prepared=prepared, teacher=teacher, rng=machine.seed(cell.seed), log=_quiet)
    return teacher


def _student(workload: Workload[Any], cell: Cell, block: Block, folder: Path) -> tuple[Path, float]:
    """The folder of the student and its validation score."""
    found, student = folder / "found", folder / "student"
    method = find.search(block["search"]["method"])
    data = workload.data_settings(**cell.settings["teach"]["data"])
    own = {"settings": method.settings(**block["search"].get("settings", {})), "data": data}
    if "model" in block["search"]:
        own["model"] = TypeAdapter(workload.model_settings).validate_python(block["search"]["model"])
    wanted = SearchSettings(**block["search"] | own)
    given: dict[str, Any] = {"prepared": _home(cell) / "prepared", "teacher": _home(cell) / "teacher", "log": _quiet}
    search(wanted, workload, method, **given, found=found, rng=machine.seed(cell.seed))
    named = block["distill"]["losses"]
    losses = [find.loss(item["loss"]) for item in named]
    items = [item | {"settings": loss.settings(**item.get("settings", {}))} for item, loss in zip(named, losses, strict=True)]
    how = DistillSettings(**block["distill"] | {"losses": items, "data": data})
    best = distill(how, workload, losses, **given, found=found, student=student, rng=machine.seed(cell.seed))
    return student, next(value for name, value in best.items() if name.startswith("valid_"))


def _quiet(record: Mapping[str, Any]) -> None:
    """Progress is told a cell at a time."""
