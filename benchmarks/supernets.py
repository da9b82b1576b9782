"""Students of four sizes cut out of one nested teacher without training, beside a search and a distillation for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, gains, intervals, measure, row
from benchmarks.pictures import drawn
from stillhouse.contracts.files import read_json
from stillhouse.workloads.pictures.classify import WORKLOAD

name = "supernets"
expected_seconds = 600
needs_data = True
Block = dict[str, Any]


def fit(epochs: int, schedule: str = "cosine", rate: float = 1e-2) -> Block:
    """A training by AdamW."""
    return {"epochs": epochs, "learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": schedule}


_TAUGHT = {"losses": [{"loss": "logits", "settings": {"temperature": 4.0}}], "fit": fit(8)}
_AS_CUT = {"fit": None}
settings: dict[str, Any] = {
    "seeds": [0, 1, 2],
    "shares": [0.5, 0.25, 0.125, 0.0625],
    "draw": {"train": 2000, "val": 500, "test": 10000},
    "prepare": {"size": 14},
    "teach": {
        "model": {"family": "resnet", "stem": "small", "width": 16, "blocks": [2, 2, 2]},
        "data": {"batch_size": 64, "evaluation_batch_size": 500, "flip": True, "shift": 1},
        "fit": fit(12),
    },
    "nested": {"least": 0.25, "drawn": 2, "task_weight": 1.0, "answer_weight": 0.0},
    "students": {
        "prefix": {"teacher": "nested", "search": {"method": "prefix", "settings": {"candidates": 8}}, "distill": _AS_CUT},
        "prefix, 2 epochs": {
            "teacher": "nested",
            "search": {"method": "prefix", "settings": {"candidates": 8}},
            "distill": _TAUGHT | {"fit": fit(2, rate=3e-3)},
        },
        "plainly taught prefix": {
            "teacher": "teacher",
            "search": {"method": "prefix", "settings": {"candidates": 8}},
            "distill": _AS_CUT,
        },
        "uniform": {"teacher": "teacher", "search": {"method": "uniform"}, "distill": _TAUGHT},
        "dms": {
            "teacher": "teacher",
            "search": {"method": "dms", "settings": {"fit": fit(4, "constant"), "structure_learning_rate": 1e-2}},
            "distill": _TAUGHT,
        },
    },
}


@dataclass(frozen=True)
class _Method:
    """A teacher by an empty block, or a student; `of` names its teacher, and `title` is without the budget."""

    of: str
    title: str
    block: Block


def run(data: Path) -> list[Row]:
    """Rows of all, `accuracy_gain` over `uniform` of the same budget with the half width of its 95 % interval, and what all budgets cost
    together: `epochs_in_all` of a method is the processor time of its teacher and of its students, in epochs of the plain teacher.
    """
    entries = {title: _entry(data, nested=title == "nested") for title in ("teacher", "nested")}
    methods = _methods()
    cells = [
        _students.cell(entries[method.of], title, seed, method.block) for seed in settings["seeds"] for title, method in methods.items()
    ]
    rows = measure(cells, lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entries[methods[cell.method].of])})
    rows += [found for share in settings["shares"] for found in _ahead(cells, share)]
    return rows + [row("fashion-mnist", title, "epochs_in_all", epochs) for title, epochs in _in_all(cells, methods).items()]


def _entry(data: Path, *, nested: bool) -> _students.Set:
    source = data / "fashion-mnist" / "fashion-mnist.parquet"
    teach = settings["teach"] | ({"nested": settings["nested"]} if nested else {})
    return _students.Set(
        "fashion-mnist", partial(drawn, "fashion-mnist", source, settings["draw"]), settings["prepare"], teach, settings["draw"]
    )


def _methods() -> dict[str, _Method]:
    students = {
        f"{title}@{share:g}": _Method(block["teacher"], title, _block(block, share))
        for title, block in settings["students"].items()
        for share in settings["shares"]
    }
    return {title: _Method(title, title, {}) for title in ("teacher", "nested")} | students


def _block(block: Block, share: float) -> Block:
    return {"search": block["search"] | {"budget": {"unit": "macs", "share": share}}, "distill": block["distill"]}


def _ahead(cells: Iterable[Cell], share: float) -> list[Row]:
    found = gains([cell for cell in cells if cell.method.endswith(f"@{share:g}")], f"uniform@{share:g}", "accuracy")
    return found + intervals(found)


def _in_all(cells: Iterable[Cell], methods: Mapping[str, _Method]) -> dict[str, list[float]]:
    """Of each method, seed by seed."""
    spent = _spent(cells, methods)
    plain = {seed: spent["teacher", seed] / settings["teach"]["fit"]["epochs"] for seed in settings["seeds"]}
    found: dict[str, list[float]] = {}
    for title, block in settings["students"].items():
        for seed in settings["seeds"]:
            found.setdefault(title, []).append((spent[block["teacher"], seed] + spent[title, seed]) / plain[seed])
    return found


def _spent(cells: Iterable[Cell], methods: Mapping[str, _Method]) -> dict[tuple[str, int], float]:
    """(method, seed) -> processor seconds, of all budgets together."""
    seconds: dict[tuple[str, int], float] = {}
    for cell in cells:
        key = methods[cell.method].title, cell.seed
        folder = cell.folder if methods[cell.method].block else _students.home(cell)
        seconds[key] = seconds.get(key, 0.0) + read_json(folder / "times.json")["seconds"]
    return seconds
