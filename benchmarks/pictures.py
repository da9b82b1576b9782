"""Students of a residual network at a half and a quarter of its MACs: searched, shrunk alike, drawn and ranked without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _students
from benchmarks._cells import WORK
from stillhouse.training.files import read_parquet, write_parquet
from stillhouse.workloads.pictures.classify import WORKLOAD

name = "pictures"
expected_seconds = 3600
needs_data = True
_EPOCHS = 10


@dataclass(frozen=True)
class _Equal:
    """Epochs with which a small network has taken about as long as `dms` has: those of all draws, and those of one student alone."""

    draws: int
    longer: int


_BUDGETS = {0.5: _Equal(8, 14), 0.25: _Equal(8, 15)}


def _fit(epochs: int, schedule: str = "cosine", rate: float = 1e-2) -> _students.Block:
    return {"epochs": epochs, "learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": schedule}


def _students_of(share: float, equal: _Equal) -> dict[str, _students.Block]:
    searches: dict[str, _students.Block] = {
        "dms": {"method": "dms", "settings": {"fit": _fit(4, "constant"), "structure_learning_rate": 1e-2}},
        "uniform": {"method": "uniform"},
        "uniform_longer": {"method": "uniform"},
        "random": {"method": "random", "settings": {"draws": 4, "band": 0.05, "fit": _fit(equal.draws, "constant")}},
        "zico": {"method": "zico", "settings": {"candidates": 32, "batches": 2, "band": 0.05}},
        "gradsign": {"method": "gradsign", "settings": {"candidates": 32, "batches": 16, "band": 0.05}, "data": {"batch_size": 1}},
    }
    losses = [{"loss": "logits", "weight": 1.0, "settings": {"temperature": 4.0}}]
    return {
        f"{title}@{share:g}": {
            "search": search | {"budget": {"unit": "macs", "share": share}},
            "distill": {"losses": losses, "fit": _fit(equal.longer if title == "uniform_longer" else _EPOCHS)},
        }
        for title, search in searches.items()
    }


settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "draw": {"train": 2000, "val": 1000, "test": 5000},
    "prepare": {"size": 16},
    "teach": {
        "model": {"family": "resnet", "stem": "small", "width": 16, "blocks": [2, 2, 2]},
        "data": {"batch_size": 32, "evaluation_batch_size": 500, "flip": True, "shift": 1},
        "fit": _fit(20, rate=5e-3),
    },
    "sets": {"fashion-mnist": "fashion-mnist/fashion-mnist.parquet", "cifar10-jpeg": "cifar10-jpeg/cifar10-jpeg.parquet"},
    "students": {method: block for share, equal in _BUDGETS.items() for method, block in _students_of(share, equal).items()},
}


def run(data: Path) -> list[_students.Row]:
    """`data` holds fashion-mnist/fashion-mnist.parquet and cifar10-jpeg/cifar10-jpeg.parquet, with a column `split`."""
    return _students.run(WORKLOAD, sets(data), settings["students"], settings["seeds"])


def sets(data: Path) -> list[_students.Set]:
    """Both sets, with pictures that a seed draws."""
    return [
        _students.Set(title, partial(drawn, title, data / file, settings["draw"]), settings["prepare"], settings["teach"], settings["draw"])
        for title, file in settings["sets"].items()
    ]


def drawn(title: str, table: Path, draw: Mapping[str, int], seed: int) -> Path:
    """A table of so many pictures of each split, drawn by the seed."""
    columns = read_parquet(table)
    split, label, rng = np.asarray(columns["split"]), np.asarray(columns["label"]), np.random.default_rng(seed)
    chosen = [rng.choice(np.flatnonzero(split == key), count, replace=False) for key, count in draw.items()]
    rows = np.concatenate(chosen)
    path = WORK / "pictures" / f"{title}-{'-'.join(map(str, draw.values()))}-{seed}.parquet"
    write_parquet(path, {key: [columns[key][row] for row in rows] for key in ("image", "split")} | {"label": label[rows]})
    return path
