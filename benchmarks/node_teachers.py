"""Graph networks for classes of nodes, tuned on validation as published ones were: candidates on few splits, the best one on more.

The whole graph is seen in training, as in the study whose figures stand beside these (arXiv 2406.08993); candidates lie in its box of
settings. Epochs are fewer than its 200 to 2000, and training may stop early, so that all of it ends within the hour. Of computers the norms
are chosen for `static_graphs`, and by its protocol: a fifth of the test nodes is seen by nobody before the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import Cell, Row, measure
from benchmarks._node_sets import Drawn, NodeSet
from benchmarks.static_graphs import PREPARE, SETS, chosen_by

name = "node_teachers"
expected_seconds = 3000
needs_data = True
FINALISTS = 3
Candidate = tuple[str, int, int, float, float, str, bool]
"""Family, hidden width, layers, dropout, learning rate, norm, and whether maps lead past layers."""
_CORA: list[Candidate] = [
    ("gcn", 64, 2, 0.5, 0.01, "none", False),
    ("gcn", 64, 2, 0.7, 0.01, "none", False),
    ("gcn", 64, 3, 0.5, 0.01, "none", False),
    ("gcn", 64, 3, 0.7, 0.005, "none", False),
    ("gcn", 256, 2, 0.5, 0.005, "none", False),
    ("gcn", 256, 2, 0.7, 0.005, "none", False),
    ("gcn", 256, 3, 0.7, 0.005, "none", False),
    ("gcn", 256, 3, 0.7, 0.001, "none", False),
    ("gcn", 256, 2, 0.7, 0.005, "none", True),
    ("gcn", 512, 2, 0.7, 0.001, "none", False),
    ("gcn", 512, 3, 0.7, 0.001, "none", False),
    ("gcn", 512, 3, 0.5, 0.001, "none", False),
]
_MINESWEEPER: list[Candidate] = [
    ("sage", 64, 5, 0.2, 0.01, "batch", False),
    ("sage", 64, 8, 0.2, 0.01, "batch", False),
    ("sage", 64, 12, 0.2, 0.01, "batch", False),
    ("sage", 64, 12, 0.0, 0.01, "batch", False),
    ("sage", 64, 12, 0.2, 0.01, "none", False),
    ("sage", 64, 15, 0.2, 0.01, "batch", False),
    ("gcn", 64, 12, 0.2, 0.01, "batch", True),
    ("gcn", 64, 12, 0.2, 0.01, "batch", False),
]
_CHAMELEON: list[Candidate] = [
    ("gcn", 64, 2, 0.5, 0.01, "none", False),
    ("gcn", 256, 2, 0.2, 0.005, "none", False),
    ("gcn", 256, 2, 0.2, 0.005, "none", True),
    ("gcn", 256, 3, 0.2, 0.005, "none", False),
    ("gcn", 256, 5, 0.2, 0.005, "none", False),
    ("gcn", 256, 5, 0.2, 0.005, "batch", False),
    ("gcn", 256, 5, 0.5, 0.005, "none", False),
    ("gcn", 512, 5, 0.2, 0.005, "none", False),
    ("sage", 256, 2, 0.5, 0.01, "none", False),
    ("sage", 256, 4, 0.7, 0.01, "none", False),
    ("sage", 256, 4, 0.7, 0.01, "batch", False),
    ("sage", 256, 5, 0.5, 0.005, "none", False),
]
_TOLOKERS: list[Candidate] = [
    ("sage", 64, 2, 0.2, 0.01, "batch", False),
    ("sage", 64, 3, 0.2, 0.01, "batch", False),
    ("sage", 64, 3, 0.2, 0.01, "none", False),
    ("gcn", 64, 3, 0.2, 0.01, "batch", True),
]
_COMPUTERS: list[Candidate] = [("gcn", 64, 2, 0.5, 0.01, norm, False) for norm in ("none", "batch")]


def _set(metric: str, splits: int, decay: float, fit: _students.Block, candidates: list[Candidate], **more: Any) -> _students.Block:
    """`short` is what differs in a first, shorter training of all candidates, from which the best FINALISTS go on to the one proper.

    Candidates are compared by their mean on validation of the first splits, `tried_on` of them.
    """
    own = {"metric": metric, "splits": splits, "tried_on": 1, "prepare": {}, "model": {"jumping": "last"}, "short": {}}
    return {**own, "fit": {**fit, "weight_decay": decay}, "candidates": [list(each) for each in candidates], **more}


def _cosine(epochs: int) -> _students.Block:
    return {"epochs": epochs, "schedule": "cosine"}


settings: dict[str, Any] = {
    "sets": {
        "cora, 20 a class": _set("accuracy", 5, 5e-4, {"epochs": 200, "patience": 50}, _CORA),
        "minesweeper": _set("roc_auc", 2, 0.0, _cosine(300), _MINESWEEPER, short={"epochs": 100}),
        "chameleon_filtered": _set("accuracy", 10, 1e-3, {"epochs": 200, "patience": 50}, _CHAMELEON, tried_on=3),
        "tolokers": _set("roc_auc", 2, 0.0, _cosine(60), _TOLOKERS),
        "amazon_computers": _set("accuracy", 1, 5e-4, {"epochs": 150}, _COMPUTERS, prepare=PREPARE, model={}),
    },
}
RAWS: dict[str, NodeSet | Drawn] = {**SETS, "cora, 20 a class": Drawn(SETS["cora"], train=20, valid=500, test=1000)}


def run(data: Path) -> Iterator[Row]:
    """`data` holds graph-citation, graph-heterophilous and graph-large; a seed is a split."""
    for title in settings["sets"]:
        yield from tuned(data, title)


def tuned(data: Path, title: str) -> Iterator[Row]:
    """Of one graph: candidates, `tried` on the first splits (some after they were `tried_shortly`), and the best one on validation."""
    how = settings["sets"][title]
    short = [("tried_shortly", how["short"], FINALISTS)] if how["short"] else []
    left = how["candidates"]
    for metric, fit, kept in [*short, ("tried", {}, 1)]:
        found = [tried(data, title, candidate, fit) for candidate in left]
        yield from (each | {"metric": metric} for each in found)
        left = [left[place] for place in sorted(range(len(left)), key=lambda place: -found[place]["mean"])[:kept]]
    yield from _measured(data, title, [_cell(data, title, left[0], split, {}) for split in range(how["splits"])])


def tried(data: Path, title: str, candidate: list[Any], fit: _students.Block) -> Row:
    """A candidate's score on validation, on as many of the first splits as it is tried on."""
    cells = [_cell(data, title, candidate, split, fit) for split in range(settings["sets"][title]["tried_on"])]
    return next(each for each in _measured(data, title, cells) if each["metric"] == "valid")


def _measured(data: Path, title: str, cells: list[Cell]) -> list[Row]:
    workload = chosen_by(settings["sets"][title]["metric"])
    return measure(cells, lambda cell: {title: _students.measured(workload, cell, _entry(data, title, cell.settings["teach"]))})


def _cell(data: Path, title: str, candidate: list[Any], split: int, fit: _students.Block) -> Cell:
    family, hidden, layers, dropout, rate, norm, residual = candidate
    how = settings["sets"][title]
    sizes = {"family": family, "hidden": hidden, "layers": layers, "dropout": dropout}
    model = {**how["model"], **sizes, "norm": norm, "residual": residual}
    teach = {"model": model, "data": {}, "fit": {**how["fit"], "learning_rate": rate, **fit}}
    label = f"{family}, {layers} of {hidden}, dropout {dropout}, rate {rate}" + ", batch norm" * (norm == "batch") + ", residual" * residual
    return _students.cell(_entry(data, title, teach), label, split, {})


def _entry(data: Path, title: str, teach: _students.Block) -> _students.Set:
    return _students.Set(title, lambda split: RAWS[title].raw(data, split), settings["sets"][title]["prepare"], teach)
