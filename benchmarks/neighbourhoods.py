"""Classes of nodes learnt on drawn neighbourhoods and on the whole graph: memory and time of a step, and accuracy after as many epochs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any

import torch
from pydantic import TypeAdapter

from benchmarks import _students
from benchmarks._cells import WORK, Cell, Row, measure, row
from benchmarks.node_speed import forking, kilobytes
from benchmarks.static_graphs import SETS
from stillhouse.contracts.data import Data, Metrics
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.sample import Batch, DataSettings, load

name = "neighbourhoods"
expected_seconds = 900
needs_data = True
settings: dict[str, Any] = {
    "seeds": 2,
    "steps": 3,
    "model": {"family": "sage", "hidden": 64, "layers": 2, "dropout": 0.5},
    "fit": {"epochs": 30, "learning_rate": 1e-2, "weight_decay": 5e-4},
    "sets": ["amazon_computers"],
    "ways": {
        "whole graph": {},
        "10 and 10 of 50 nodes": {"neighbours": [10, 10], "batch_size": 50, "asked": "known"},
        "10 and 5 of 512, all nodes": {"neighbours": [10, 5], "batch_size": 512, "asked": "all"},
    },
    "trained": ["whole graph", "10 and 10 of 50 nodes"],
}
_PREPARE = {"unit_rows": True}


def run(data: Path) -> Iterator[Row]:
    """Megabytes that a network and some steps add to a process at their peak, and milliseconds of processor time of a step, with drawing.

    `accuracy` is that of the test nodes on the whole graph; seeds are splits. One thread.
    """
    torch.set_num_threads(1)
    for title in settings["sets"]:
        prepared = _prepared(title, data)
        with forking().Pool(1, maxtasksperchild=1) as pool:
            found = pool.map(measured, [(prepared, how) for how in settings["ways"].values()], chunksize=1)
        for way, metrics in zip(settings["ways"], found, strict=True):
            yield from (row(title, f"sage, {way}", metric, [value]) for metric, value in metrics.items())
        yield from _trained(title, data)


def _prepared(title: str, data: Path) -> Path:
    place = WORK / "neighbourhoods" / title
    if not (place / "facts.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        WORKLOAD.prepare(WORKLOAD.prepare_settings(**_PREPARE), SETS[title].raw(data, 0), place, torch.Generator().manual_seed(0))
    return place


def measured(task: tuple[Path, dict[str, Any]]) -> Metrics:
    """Of some steps after a first one, in a process that did nothing else but read the graph."""
    torch.set_num_threads(1)
    prepared, how = task
    data = load(DataSettings(**how), prepared)
    Path("/proc/self/clear_refs").write_text("5")  # Linux forgets the peak that reading had
    before, nodes = kilobytes("VmHWM"), list[int]()
    network = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(settings["model"]), data.sizes, None).train()
    optimiser = torch.optim.Adam(network.parameters())
    started = process_time()
    for batch in islice(_passes(data), 1 + int(settings["steps"])):
        optimiser.zero_grad()
        WORKLOAD.loss(WORKLOAD.apply(network, batch), batch).backward()
        optimiser.step()
        nodes.append(len(batch.features))
        started = process_time() if len(nodes) == 1 else started
    spent = 1000 * (process_time() - started) / int(settings["steps"])
    peak = (kilobytes("VmHWM") - before) / 1024
    return {"megabytes": peak, "milliseconds": spent, "nodes": fmean(nodes), "steps": data.train.length}


def _passes(data: Data[Batch]) -> Iterator[Batch]:
    rng = torch.Generator().manual_seed(0)
    while True:
        yield from data.train.draw(rng)


def _trained(title: str, data: Path) -> list[Row]:
    cells = []
    for way in settings["trained"]:
        teach = {"model": settings["model"], "data": settings["ways"][way], "fit": settings["fit"]}
        entry = _students.Set(title, partial(SETS[title].raw, data), _PREPARE, teach)
        cells += [(_students.cell(entry, f"sage, {way}", seed, {}), entry) for seed in range(int(settings["seeds"]))]
    entries = {cell.folder: entry for cell, entry in cells}

    def metrics(cell: Cell) -> dict[str, Metrics]:
        found = _students.measured(WORKLOAD, cell, entries[cell.folder])
        return {title: {"accuracy": found["accuracy"]}}

    return measure([cell for cell, _ in cells], metrics)
