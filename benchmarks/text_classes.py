"""Question types and intents by a small BERT trained from nothing, and students of it with and without its answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, gains, intervals
from stillhouse.workloads.text.text_classes import WORKLOAD

name = "text_classes"
expected_seconds = 1500
needs_data = True
CONTROLS = ("alone", "longer")
_SHARES = (0.5, 0.25)


def _fit(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 2e-3, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine", "clip_norm": 1.0}


def _student(share: float, epochs: int, *losses: _students.Block) -> _students.Block:
    return {
        "search": {"method": "uniform", "budget": {"unit": "macs", "share": share}},
        "distill": {"losses": list(losses), "task_weight": 1.0, "fit": _fit(epochs)},
    }


def _of(share: float) -> dict[str, _students.Block]:
    """The students at a share of the MACs: the controls, of which the second is trained twice as long, and one for each loss."""
    logits = {"loss": "logits", "weight": 1.0, "settings": {"temperature": 2.0}}
    students = {"alone": _student(share, 5), "longer": _student(share, 10)}
    return students | {"logits": _student(share, 5, logits), "dist": _student(share, 5, {"loss": "dist", "weight": 1.0})}


settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "teach": {
        "model": {
            "family": "transformers",
            "config": {
                "model_type": "bert",
                "hidden_size": 64,
                "intermediate_size": 192,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
            },
        },
        "data": {"batch_size": 64, "evaluation_batch_size": 256},
        "fit": _fit(8),
    },
    "prepare": {
        title: {"read": {"where": {"set": title}, "label": "label_name"}, "tokenizer": {"vocabulary": 2048}, "length": 32}
        for title in ("trec", "banking77")
    },
    "students": {f"{title}@{share:g}": block for share in _SHARES for title, block in _of(share).items()},
}


def run(data: Path) -> list[Row]:
    """`data` holds text-classes/text-classes.parquet, with the columns set, text, label_name and split.

    `accuracy_gain` is seed by seed what a student is above the control of its set and share that is the best on the test, and
    `accuracy_gain_95` the half width of its interval.
    """
    entries, students, seeds = sets(data), settings["students"], settings["seeds"]
    rows = _students.run(WORKLOAD, entries, students, seeds)
    cells = [_students.cell(entry, title, seed, block) for seed in seeds for entry in entries for title, block in students.items()]
    return rows + [found for entry in entries for share in _SHARES for found in _ahead(cells, rows, entry.name, f"@{share:g}")]


def sets(data: Path) -> list[_students.Set]:
    """Both sets, whose splits are those of the table."""
    table = data / "text-classes" / "text-classes.parquet"
    return [_students.Set(title, table, prepare, settings["teach"]) for title, prepare in settings["prepare"].items()]


def _ahead(cells: list[Cell], rows: list[Row], title: str, share: str) -> Iterator[Row]:
    """The control with the highest mean is chosen with the test in view, in its own favour."""
    means = {row["method"]: row["mean"] for row in rows if row["metric"] == "accuracy" and row["set"] == title}
    control = max((f"{name}{share}" for name in CONTROLS), key=lambda name: means.get(name, 0.0))
    found = gains([cell for cell in cells if cell.set == title and cell.method.endswith(share)], control, "accuracy")
    yield from (*found, *intervals(found))
