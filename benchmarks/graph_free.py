"""Students without edges of a graph network on Cora: teacher and width chosen on validation, accuracy, and what an answer costs.

One of the teachers is the one that `node_teachers` chose where labels are few. A fifth of the test nodes, with all their edges, is seen by
nobody before the test.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pydantic import TypeAdapter

from benchmarks import _node_queries, _students
from benchmarks._cells import Cell, Row, gains, measure, row
from benchmarks.static_graphs import SETS
from stillhouse.contracts.files import read_json
from stillhouse.space import cost
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.sample import DataSettings, Prepared, load, read

name = "graph_free"
expected_seconds = 900
needs_data = True
_SEEN = {"features": {"hidden": "act"}}
_FIT = {"epochs": 150, "patience": 50, "learning_rate": 1e-2, "weight_decay": 5e-4}


def _teach(model: _students.Block, rate: float) -> _students.Block:
    fit = {"epochs": 200, "patience": 50, "learning_rate": rate, "weight_decay": 5e-4}
    return {"model": {"family": "gcn", **model, **_SEEN}, "data": {}, "fit": fit}


settings: dict[str, Any] = {
    "set": "cora",
    "splits": 5,
    "widths": [16, 32, 64, 128, 256],
    "dropout": 0.5,
    "teachers": {
        "3 of 512": _teach({"hidden": 512, "layers": 3, "dropout": 0.7, "jumping": "last"}, 1e-3),
        "2 of 256": _teach({"hidden": 256, "layers": 2, "dropout": 0.7, "jumping": "last"}, 5e-3),
        "2 of 64": _teach({"hidden": 64, "layers": 2, "dropout": 0.5}, 1e-2),
    },
    "losses": {
        "glnn": {"loss": "logits", "weight": 1.0},
        "vqgraph": {"loss": "vqgraph", "weight": 1.0, "settings": {"pairs": ["hidden"]}},
    },
    "queries": {"1": 20, "256": 1},
}
"""`queries`: how many of each size, in nodes, are timed."""


def run(data: Path) -> Iterator[Row]:
    """`data` holds graph-citation; a seed is a split, and teachers and widths are tried on split 0."""
    title, splits = settings["set"], range(settings["splits"])
    teachers = {f"teacher, {label}": _entry(data, teach) for label, teach in settings["teachers"].items()}
    entry = teachers[(yield from _chosen({name: (each, {}) for name, each in teachers.items()}))]
    widths = {f"glnn of {width}": (entry, _student(width, ["glnn"])) for width in settings["widths"]}
    width = dict(zip(widths, settings["widths"], strict=True))[(yield from _chosen(widths))]
    blocks = {"teacher": {}, "mlp": _student(width, []), "glnn": _student(width, ["glnn"]), "vqgraph": _student(width, ["glnn", "vqgraph"])}
    cells = [_students.cell(entry, method, split, block) for split in splits for method, block in blocks.items()]
    yield from _measured(entry, cells)
    yield from gains(cells, "teacher", "accuracy")
    yield from costs(title, read(_students.home(cells[0]) / "prepared"), _students.home(cells[0]), (entry.teach["model"]["hidden"], width))


def _chosen(tried: Mapping[str, tuple[_students.Set, _students.Block]]) -> Generator[Row, None, str]:
    """The name of the one that is best on validation, of equals the first; yields a row for each."""
    found = {}
    for method, (entry, block) in tried.items():
        cell = _students.cell(entry, method, 0, block)
        _measured(entry, [cell])
        found[method] = read_json(cell.folder / "metrics.json")[entry.name]["valid"]
        yield row(entry.name, method, "tried", [found[method]])
    return max(found, key=lambda method: found[method])


def costs(title: str, whole: Prepared, folder: Path, widths: tuple[int, int]) -> Iterator[Row]:
    """Of untrained networks, as wide as teacher and student, milliseconds for one node: alone (`ms_1`) and among others (`ms_256`).

    Networks with edges look one, two and three edges far, at `rows_1` nodes; the time to find these is left out. The mlp of width 2 shows
    what a call itself takes.
    """
    sizes = dict(load(DataSettings(), folder / "prepared").sizes)
    graphs, edgeless = {"family": "gcn", "jumping": "last"}, {"family": "mlp", "layers": 2}
    models = {f"gcn of {wide}, {far} away": graphs | {"hidden": wide, "layers": far} for wide in (widths[0], 64) for far in (1, 2, 3)}
    models |= {f"mlp of {wide}": edgeless | {"hidden": wide} for wide in (widths[1], 2)}
    for method, block in models.items():
        network = WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), sizes, None).eval()
        for size, count in settings["queries"].items():
            batches = list(_node_queries.queries(whole, _node_queries.hops(block), count, int(size)))
            times = _node_queries.timed(WORKLOAD, network, batches, folder)
            yield row(title, method, f"ms_{size}", [median(times) / int(size)])
            yield row(title, method, f"rows_{size}", [sum(len(batch.features) for batch in batches) / count / int(size)])
        with torch.no_grad():
            macs = cost.summary(network, lambda network=network, batch=batches[0]: WORKLOAD.apply(network, batch))["macs"]
        yield row(title, method, "macs_256", [macs / 256])


def _student(width: int, losses: list[str]) -> _students.Block:
    search = {"method": "uniform", "budget": {"unit": "parameters", "share": 1.0}, "weights": "scratch"}
    model = {"family": "mlp", "hidden": width, "layers": 2, "dropout": settings["dropout"], **_SEEN}
    how = {"losses": [settings["losses"][each] for each in losses], "task_weight": 0.0 if losses else 1.0}
    return {"search": search | {"model": model}, "distill": {**how, "start": "fresh", "fit": _FIT}}


def _entry(data: Path, teach: _students.Block) -> _students.Set:
    return _students.Set(settings["set"], lambda split: SETS[settings["set"]].raw(data, split), {"inductive": True}, teach)


def _measured(entry: _students.Set, cells: list[Cell]) -> list[Row]:
    return measure(cells, lambda cell: {cell.set: _students.measured(WORKLOAD, cell, entry)})
