"""Labels of 1, 10 and 100 % of the pictures, the rest without one: what a teacher adds to a small student, and what else does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks import _students
from benchmarks._cells import Cell, Row, gains, intervals, measure, row
from benchmarks._choices import best, named
from benchmarks.pictures import drawn
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.labels import HIDDEN
from stillhouse.workloads.pictures.classify.sample import Batch

name = "labels"
expected_seconds = 3000
needs_data = True
Block = dict[str, Any]


def _fit(epochs: int, rate: float) -> Block:
    return {"epochs": epochs, "learning_rate": rate, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine"}


settings: dict[str, Any] = {
    "choosing": [0, 1],
    "seeds": [2, 3, 4, 5, 6],
    "draw": {"train": 6000, "val": 500, "test": 10000},
    "prepare": {"size": 14},
    "sets": {"fashion-mnist": "fashion-mnist/fashion-mnist.parquet"},
    "teacher": {"family": "resnet", "stem": "small", "width": 16, "blocks": [2, 2, 2]},
    "data": {"batch_size": 96, "evaluation_batch_size": 500, "flip": True, "shift": 1},
    "teach": _fit(12, 1e-2),
    "untrained": {"epochs": 1, "learning_rate": 1e-12},
    "student": {"method": "uniform", "budget": {"unit": "macs", "share": 0.25}, "weights": "scratch"},
    "shares": {
        "0.01": {"labels": 140, "all": 3},
        "0.1": {"labels": 13, "all": 3},
        "1.0": {"labels": 4, "all": 4},
    },
    "few": {"batch_size": 32},
    "beside": {"unlabelled": 64},
    "smoothing": 0.1,
    "rates": [3e-3, 1e-2, 3e-2],
    "weights": [1.0, 4.0],
    "weights_at": "0.1",
    "losses": {
        "logits": {"temperature": 4.0},
        "standardised": {"temperature": 2.0},
        "dist": {},
        "pearson": {"pairs": ["stage3"]},
        "ssld": {},
    },
    "same": ["logits"],
}
"""`shares` are those of the labels, each with the passes over the labelled pictures alone and over all pictures that are as many steps."""
CONTROLS = ("alone", "longer", "beside", "smoothing", "untrained")


@dataclass(frozen=True)
class Method:
    """A student, or by an empty block a teacher: where its teacher comes from, its block, and the task."""

    entry: _students.Set
    block: Block
    workload: Workload[Any] = WORKLOAD


def run(data: Path) -> list[Row]:
    """`data` holds fashion-mnist/fashion-mnist.parquet.

    Validation on the seeds `choosing` chooses the rate of each share, for the student alone, and the weight of each loss, at a tenth of
    the labels. `accuracy_gain` is seed by seed what a student of `seeds` is above the control of its share that is the best on the
    test, and `accuracy_gain_95` the half width of its interval.
    """
    return [found for title, file in settings["sets"].items() for found in _one(title, data / file)]


def _one(title: str, table: Path) -> list[Row]:
    rates, weights = _chosen(title, table)
    methods = dict(_methods(title, table, rates, weights))
    cells, rows = _measured(methods, settings["seeds"])
    chosen = {f"alone@{share}": rate for share, rate in rates.items()} | weights
    rows += [row(title, method, "chosen", [value]) for method, value in chosen.items()]
    return rows + [found for share in rates for found in _ahead(cells, rows, share)]


def _measured(methods: Mapping[str, Method], seeds: Iterable[int]) -> tuple[list[Cell], list[Row]]:
    cells = [_students.cell(method.entry, title, seed, method.block) for seed in seeds for title, method in methods.items()]

    def one(cell: Cell) -> dict[str, Metrics]:
        method = methods[cell.method]
        return {cell.set: _students.measured(method.workload, cell, method.entry)}

    return cells, measure(cells, one)


def _ahead(cells: list[Cell], rows: list[Row], share: str) -> list[Row]:
    """The control with the highest mean is chosen with the test in view, in its own favour."""
    means = {entry["method"]: entry["mean"] for entry in rows if entry["metric"] == "accuracy"}
    control = max((f"{title}@{share}" for title in CONTROLS if f"{title}@{share}" in means), key=means.__getitem__)
    found = gains([cell for cell in cells if cell.method.endswith(f"@{share}")], control, "accuracy")
    return found + intervals(found)


def _chosen(title: str, table: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The rate of each share, and the weight of each loss."""
    taught = _entry(title, table, {}, settings["teach"])
    tried = {
        named(f"alone@{share}", rate): Method(taught, _alone(share, rate)) for share in settings["shares"] for rate in settings["rates"]
    }
    _, rows = _measured(tried, settings["choosing"])
    rates = {share: best(rows, f"alone@{share}", settings["rates"]) for share in settings["shares"]}
    share = settings["weights_at"]
    tried = {
        named(loss, weight): Method(taught, _taught(share, rates[share], loss, weight))
        for loss in settings["losses"]
        for weight in settings["weights"]
    }
    _, rows = _measured(tried, settings["choosing"])
    return rates, {loss: best(rows, loss, settings["weights"]) for loss in settings["losses"]}


def _methods(title: str, table: Path, rates: Mapping[str, float], weights: Mapping[str, float]) -> Iterator[tuple[str, Method]]:
    taught, untrained = (_entry(title, table, {}, settings[fit]) for fit in ("teach", "untrained"))
    yield "teacher", Method(taught, {})
    for share, rate in rates.items():
        alone = Method(taught, _alone(share, rate))
        yield f"alone@{share}", alone
        yield f"longer@{share}", Method(taught, _alone(share, rate, times=2))
        yield f"smoothing@{share}", replace(alone, workload=replace(WORKLOAD, loss=_smoothed))
        yield f"untrained@{share}", Method(untrained, _taught(share, rate, "logits", weights["logits"]))
        for loss, weight in weights.items():
            yield f"{loss}@{share}", Method(taught, _taught(share, rate, loss, weight))
        if float(share) < 1:
            yield f"beside@{share}", Method(taught, _student(_beside(share), _passes(share, "all"), rate))
            few = _entry(title, table, _labels(share), _fit(_passes(share, "labels"), settings["teach"]["learning_rate"]))
            yield f"same@{share}", Method(few, {})
            for loss in settings["same"]:
                yield f"same-{loss}@{share}", Method(few, _taught(share, rate, loss, weights[loss]))


def _entry(title: str, table: Path, data: Block, fit: Block) -> _students.Set:
    """A teacher, of all labels unless its `data` say otherwise."""
    raw = partial(drawn, title, table, settings["draw"])
    teach = {"model": settings["teacher"], "data": settings["data"] | data, "fit": fit}
    return _students.Set(title, raw, settings["prepare"], teach, settings["draw"])


def _alone(share: str, rate: float, times: int = 1) -> Block:
    return _student(_labels(share), times * _passes(share, "labels"), rate)


def _taught(share: str, rate: float, loss: str, weight: float) -> Block:
    return _student(_beside(share), _passes(share, "all"), rate, {"loss": loss, "weight": weight, "settings": settings["losses"][loss]})


def _student(data: Block, passes: int, rate: float, *losses: Block) -> Block:
    return {"search": settings["student"], "distill": {"losses": list(losses), "start": "fresh", "fit": _fit(passes, rate), "data": data}}


def _labels(share: str) -> Block:
    return {"train_limit": float(share)} | (settings["few"] if float(share) < 1 else {})


def _beside(share: str) -> Block:
    return _labels(share) | settings["beside"]


def _passes(share: str, over: str) -> int:
    return int(settings["shares"][share][over])


def _smoothed(output: Output, batch: Batch) -> Tensor:
    return cross_entropy(output.prediction, batch.label, ignore_index=HIDDEN, label_smoothing=settings["smoothing"])
