"""Classes of nodes: a graph network, students of it that see no edge, and smaller graph networks, on seven published graphs.

A fifth of the test nodes, with all their edges, is seen by nobody before the test. Metrics are those of all test nodes, `unseen` and
`observed` tell them apart; where a set's protocol is the ROC AUC, it chooses the epochs too. A student without edges has no more weights
than its teacher. Epochs are the same for all methods of a set. Teachers of chameleon, minesweeper and tolokers have the settings that
`node_teachers` chose on validation, and the norms of computers were chosen on its first split's; other settings were not tuned, and splits
and epochs are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import _node_queries, _students
from benchmarks._cells import Cell, Row, measure, row
from benchmarks._node_sets import NodeSet
from benchmarks.prune_rivals import half_width
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.static_nodes import WORKLOAD

name = "static_graphs"
expected_seconds = 3500
needs_data = True
_LOGITS = {"loss": "logits", "weight": 1.0}
_SEEN = {"features": {"hidden": "act"}}
_GCN = {"family": "gcn", "hidden": 64, "layers": 2, "dropout": 0.5, **_SEEN}
_NORM = {"norm": "batch"}
_DEEP = {"hidden": 64, "dropout": 0.2, **_NORM, "jumping": "last", **_SEEN}
PREPARE = {"inductive": True, "positions": {"kind": "laplacian", "size": 16}}


def _fit(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 1e-2, "weight_decay": 5e-4}


def _published(epochs: int) -> _students.Block:
    """Rate and decay of chameleon in the study that `node_teachers` follows."""
    return {"epochs": epochs, "learning_rate": 5e-3, "weight_decay": 1e-3}


def _cosine(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 1e-2, "schedule": "cosine"}


def _set(seeds: int, fit: _students.Block, model: _students.Block, metric: str = "accuracy", **norms: _students.Block) -> _students.Block:
    """`taught` is what networks without edges that learn a teacher's answers have of their own here, and `alone` what the others have."""
    return {"seeds": list(range(seeds)), "metric": metric, "model": model, "fit": fit, "taught": {}, "alone": {}, **norms}


settings: dict[str, Any] = {
    "queries": 40,
    "fewer_queries": {"chameleon_filtered": 5, "tolokers": 5},  # within the reach of a teacher lies most of the graph
    "edgeless": {"hidden": 128, "layers": 2, "dropout": 0.5},
    "sets": {
        "cora": _set(5, _fit(100), _GCN),
        "chameleon_filtered": _set(5, _published(150), _DEEP | {"family": "gcn", "hidden": 256, "layers": 5}, taught=_NORM, alone=_NORM),
        "minesweeper": _set(5, _cosine(200), _DEEP | {"family": "sage", "layers": 12}, "roc_auc"),
        "actor": _set(5, _fit(60), _GCN),
        "amazon_computers": _set(5, _fit(150), _GCN | _NORM, taught=_NORM),
        "tolokers": _set(5, _cosine(60), _DEEP | {"family": "gcn", "layers": 3, "residual": True}, "roc_auc"),
        "coauthor_physics": _set(5, _fit(20), _GCN),
    },
}
SETS = {
    found.name: found
    for found in (
        NodeSet("cora", "graph-citation", 1433),
        NodeSet("chameleon_filtered", "graph-heterophilous", 2325),
        NodeSet("minesweeper", "graph-heterophilous", 7),
        NodeSet("actor", "graph-heterophilous", 932),
        NodeSet("tolokers", "graph-heterophilous", 10),
        NodeSet("amazon_computers", "graph-large", 767),
        NodeSet("coauthor_physics", "graph-large", 8415),
    )
}


def run(data: Path) -> list[Row]:
    """`data` holds graph-citation, graph-heterophilous and graph-large; a seed is one of a graph's ten splits, which it numbers."""
    found = {title: cells(title) for title in settings["sets"]}
    every = [cell for group in found.values() for cell in group]
    rows = measure(every, lambda cell: {cell.set: _measured(data, cell)})
    return rows + [row for group in found.values() for row in paired(group)]


def cells(title: str) -> list[Cell]:
    """All of a set, split after split."""
    entry, how = _entry(Path(), title), settings["sets"][title]
    return [_students.cell(entry, name, seed, block) for seed in how["seeds"] for name, block in _blocks(how).items()]


def paired(cells: Iterable[Cell]) -> Iterator[Row]:
    """Split by split, how far a method is `ahead` of the teacher and of the plain MLP (`over_mlp`), and which share it `keeps`.

    The `sd` of both differences is half their 95 % interval; the share is of the teacher's metric.
    """
    cells = list(cells)
    title, metric = cells[0].set, settings["sets"][cells[0].set]["metric"]
    done = {(cell.method, cell.seed): float(read_json(cell.folder / "metrics.json")[title][metric]) for cell in cells if cell.done}
    for method in dict.fromkeys(method for method, _ in done):
        for other, named in (("teacher", "ahead"), ("mlp", "over_mlp")):
            pairs = [(value, done[other, seed]) for (this, seed), value in done.items() if this == method and (other, seed) in done]
            if method != other and pairs:
                ahead = [ours - theirs for ours, theirs in pairs]
                yield row(title, method, named, ahead) | {"sd": half_width(ahead)}
                yield from [row(title, method, "keeps", [ours / theirs for ours, theirs in pairs])] if other == "teacher" else []


def _blocks(how: _students.Block) -> dict[str, _students.Block]:
    structure = {"loss": "structure", "weight": 1.0, "settings": {"pairs": ["hidden"]}}
    return {
        "teacher": {},
        "mlp": _edgeless("mlp", how, [], task_weight=1.0),
        "glnn": _edgeless("mlp", how, [_LOGITS]),
        "ff_g2m": _edgeless("mlp", how, [{"loss": "ff_g2m", "weight": 1.0}]),
        "nosmog": _edgeless("nosmog", how, [_LOGITS, structure]),
        "dms 1/2": _smaller(0.5, how["fit"]),
        "dms 1/4": _smaller(0.25, how["fit"]),
    }


def _edgeless(family: str, how: _students.Block, losses: list[_students.Block], task_weight: float = 0.0) -> _students.Block:
    search = {"method": "uniform", "budget": {"unit": "parameters", "share": 1.0}, "weights": "scratch"}
    return {
        "search": search | {"model": {"family": family, **settings["edgeless"], **how["taught" if losses else "alone"], **_SEEN}},
        "distill": {"losses": losses, "task_weight": task_weight, "start": "fresh", "fit": how["fit"]},
    }


def _smaller(share: float, fit: _students.Block) -> _students.Block:
    own = {"fit": fit | {"epochs": fit["epochs"] // 2}, "structure_learning_rate": 1e-2}
    return {
        "search": {"method": "dms", "budget": {"unit": "macs", "share": share}, "settings": own},
        "distill": {"losses": [_LOGITS], "task_weight": 1.0, "fit": fit},
    }


def _entry(data: Path, title: str) -> _students.Set:
    how = settings["sets"][title]
    teach = {"model": how["model"], "data": {}, "fit": how["fit"]}
    return _students.Set(title, lambda split: SETS[title].raw(data, split), PREPARE, teach)


def _measured(data: Path, cell: Cell) -> Metrics:
    workload = chosen_by(settings["sets"][cell.set]["metric"])
    found = _students.measured(workload, cell, _entry(data, cell.set))
    home = _students.home(cell)
    model = cell.folder / "student" if cell.settings["student"] else home / "teacher"
    return found | _node_queries.cost(workload, model, home / "prepared", settings["fewer_queries"].get(cell.set, settings["queries"]))


def chosen_by(metric: str) -> Workload[Any]:
    """The workload with the metric first, which is the one that chooses epochs and architectures."""

    def score(outputs: Any) -> Metrics:
        found = WORKLOAD.score(outputs)
        return {metric: found[metric], **found}

    return replace(WORKLOAD, score=score)
