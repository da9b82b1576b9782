"""Values of molecules from their SMILES: a graph network tuned on validation, smaller ones found by search, and students that see no bond.

A seed is a random split, eight tenths to train on and one to choose by, and a training; published figures on scaffold splits are harder.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from torch.nn import functional

from benchmarks import _students
from benchmarks._cells import WORK, Cell, Row, gains, intervals, measure, row
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json
from stillhouse.training import machine
from stillhouse.training.score import EVALUATION_SEED
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from stillhouse.workloads.graphs.static_graphs.sample import read

name = "molecules"
expected_seconds = 300
needs_data = True
_TAUGHT = [{"loss": "regression", "weight": 1.0}]
_FIT = {"epochs": 40, "learning_rate": 5e-3}
_PREPARE = {"values": True}


def _smaller(share: float) -> _students.Block:
    search = {"method": "dms", "budget": {"unit": "macs", "share": share}}
    return {
        "search": search | {"settings": {"fit": _FIT | {"epochs": 20}, "structure_learning_rate": 1e-2}},
        "distill": {"losses": _TAUGHT, "task_weight": 1.0, "fit": _FIT},
    }


def _edgeless(losses: list[_students.Block]) -> _students.Block:
    search = {"method": "uniform", "budget": {"unit": "parameters", "share": 1.0}, "weights": "scratch"}
    return {
        "search": search | {"model": {"family": "mlp", "hidden": 64, "layers": 3, "pool": "sum"}},
        "distill": {"losses": losses, "task_weight": 1.0, "start": "fresh", "fit": _FIT},
    }


settings: dict[str, Any] = {
    "ridge": 1.0,
    "seeds": {"freesolv": 5, "esol": 5},
    "teachers": {
        "gin, sum": {"family": "gin", "hidden": 64, "layers": 3},
        "gin, mean": {"family": "gin", "hidden": 64, "layers": 3, "pool": "mean"},
        "sage, sum": {"family": "sage", "hidden": 64, "layers": 3, "pool": "sum"},
    },
    "data": {"batch_size": 64},
    "fit": _FIT,
    "students": {"dms 1/2": _smaller(0.5), "dms 1/4": _smaller(0.25), "mlp": _edgeless([]), "mlp taught": _edgeless(_TAUGHT)},
}


def run(data: Path) -> Iterator[Row]:
    """`data` holds graph-molecules/moleculenet.parquet. `tried` is `skill` on the first split's validation, by which a teacher is chosen.

    `ahead` of the teacher, seed by seed, is how much lower an error is; `_95` is half its 95 % interval.
    """
    for title, seeds in settings["seeds"].items():
        raws = partial(split, data / "graph-molecules" / "moleculenet.parquet", title)
        tried = [(name, _entry(title, raws, model)) for name, model in settings["teachers"].items()]
        cells = [_students.cell(entry, f"teacher: {name}", 0, {}) for name, entry in tried]
        entries = {cell.folder: entry for cell, (_, entry) in zip(cells, tried, strict=True)}
        measure(cells, lambda cell, entries=entries: {cell.set: _students.measured(WORKLOAD, cell, entries[cell.folder])})
        found = [read_json(cell.folder / "metrics.json")[title]["valid"] for cell in cells if cell.done]
        yield from (row(title, f"teacher: {name}", "tried", [value]) for (name, _), value in zip(tried, found, strict=False))
        yield from _chosen(tried[found.index(max(found))][1], raws, seeds)


def _entry(title: str, raws: Any, model: _students.Block) -> _students.Set:
    return _students.Set(title, raws, _PREPARE, {"model": model, "data": settings["data"], "fit": settings["fit"]}, {"split": "random"})


def _chosen(entry: _students.Set, raws: Any, seeds: int) -> Iterator[Row]:
    blocks = {"teacher": {}, **settings["students"]}
    counted = [Cell(entry.name, "counts", seed, {"ridge": settings["ridge"]}) for seed in range(seeds)]
    rows = measure(counted, lambda cell: {cell.set: _counts(raws(cell.seed), cell)})
    cells = [_students.cell(entry, name, seed, block) for seed in range(seeds) for name, block in blocks.items()]
    rows += measure(cells, lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entry)})
    yield from rows
    for metric in ("mae", "rmse"):
        ahead = [each | {"mean": -each["mean"]} for each in gains([*counted, *cells], "teacher", metric)]
        yield from ahead + intervals(ahead)


def split(table: Path, title: str, seed: int) -> Path:
    """The file of the molecules of a set with the split of a seed; written where it is not there yet."""
    place = WORK / "molecules" / f"{title}-{seed}.parquet"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        rows = parquet.read_table(table, filters=[("set", "=", title)])
        order = np.random.default_rng(seed).permutation(rows.num_rows)
        tenth = rows.num_rows // 10
        names = np.full(rows.num_rows, "train", dtype=object)
        names[order[:tenth]], names[order[tenth : 2 * tenth]] = "test", "valid"
        columns = {"smiles": rows.column("smiles"), "label": rows.column("target"), "split": pa.array(names.tolist())}
        parquet.write_table(pa.table(columns), place)
    return place


def _counts(raw: Path, cell: Cell) -> Metrics:
    """A ridge regression on the sums of all that is said of atoms: a control without a network."""
    prepared = cell.folder / "prepared"
    prepared.mkdir(parents=True, exist_ok=True)
    WORKLOAD.prepare(WORKLOAD.prepare_settings(**_PREPARE), raw, prepared, machine.seed(EVALUATION_SEED))
    graphs, places = read(prepared)
    batch = graphs.batch(torch.arange(len(places)))
    width = batch.x.shape[1] + 1
    sums = torch.zeros(len(places), width, dtype=torch.float64).index_add(0, batch.batch, functional.pad(batch.x.double(), (0, 1)))
    sums = torch.cat((sums, torch.ones(len(places), 1)), 1)
    known = sums[places == 0]
    weights = torch.linalg.solve(
        known.T @ known + cell.settings["ridge"] * torch.eye(width + 1), known.T @ batch.target[places == 0].double()
    )
    error = (batch.raw(sums @ weights) - batch.raw(batch.target))[places == 2]
    return {"mae": float(error.abs().mean()), "rmse": float(error.square().mean().sqrt())}
