"""Students cut out of a BERT for questions by two searches at two budgets: what distilling adds in as many epochs, and the search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import _students, text_classes
from benchmarks._cells import Cell, Row, compared, row
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, measured
from stillhouse.workloads.text.text_classes import WORKLOAD

name = "text_cuts"
expected_seconds = 900
needs_data = True
ALONE, TAUGHT = "task alone", "logits"
settings: dict[str, Any] = {
    "choosing": [0],
    "seeds": [1, 2, 3],
    "teacher": text_classes.settings["teachers"]["bert"],
    "shares": [0.5, 0.25],
    "searches": {
        "dms": {"method": "dms", "settings": {"structure_learning_rate": 2e-2}},
        "taylor": {"method": "taylor", "settings": {"batches": 16}},
    },
    "search_epochs": {"dms": 3, "taylor": 0},
    "epochs": 9,
    "rates": [5e-4, 2e-3],
    "rates_at": 0.25,
    "losses": {ALONE: [], TAUGHT: [{"loss": "logits", "weight": 1.0, "settings": {"temperature": 2.0}}]},
}
"""`epochs` are those of search and student together."""


def run(data: Path) -> Iterator[Row]:
    """`data` holds text-classes/text-classes.parquet.

    Validation on the seeds `choosing` chooses the rate of each search, at the share `rates_at` and for the task alone (`chosen`).
    `taught_gain` is seed by seed what a distilled student is above the one of the same search and budget that learnt from the task alone,
    `over_taylor` what `dms` is above `taylor`, `over_teacher` what all are above the teacher, each with half its 95 % interval (`_95`).
    """
    entry = text_classes.Source("trec", data / "text-classes" / "text-classes.parquet", settings["teacher"]).taught
    rates = _rates(entry)
    yield from (row("trec", method, "chosen", [rate]) for method, rate in rates.items())
    cells, rows = measured(lambda seed: _methods(entry, rates), settings["seeds"])
    yield from rows
    yield from compared(cells, "teacher", "over_teacher")
    for share in settings["shares"]:
        for search in settings["searches"]:
            yield from _pair(cells, _title(search, TAUGHT, share), _title(search, ALONE, share), "taught_gain")
        for training in settings["losses"]:
            yield from _pair(cells, _title("dms", training, share), _title("taylor", training, share), "over_taylor")


def _rates(entry: _students.Set) -> dict[str, float]:
    """The best rate of each search."""
    tried = {
        named(search, rate): Method(entry, _block(search, ALONE, settings["rates_at"], rate), WORKLOAD)
        for search in settings["searches"]
        for rate in settings["rates"]
    }
    _, rows = measured(lambda seed: tried, settings["choosing"])
    return {search: best(rows, search, settings["rates"]) for search in settings["searches"]}


def _methods(entry: _students.Set, rates: Mapping[str, float]) -> dict[str, Method]:
    students = {
        _title(search, training, share): Method(entry, _block(search, training, share, rates[search]), WORKLOAD)
        for share in settings["shares"]
        for search in settings["searches"]
        for training in settings["losses"]
    }
    return {"teacher": Method(entry, {}, WORKLOAD)} | students


def _title(search: str, training: str, share: float) -> str:
    return f"{search}, {training}@{share:g}"


def _block(search: str, training: str, share: float, rate: float) -> Block:
    spent, whole = settings["search_epochs"][search], settings["searches"][search]
    own = {"fit": _fit(spent, rate) | {"schedule": "constant"}} if spent else {}
    return {
        "search": whole | {"settings": whole["settings"] | own, "budget": {"unit": "macs", "share": share}},
        "distill": {"losses": settings["losses"][training], "fit": _fit(settings["epochs"] - spent, rate)},
    }


def _fit(epochs: int, rate: float) -> Block:
    return {**settings["teacher"]["fit"], "epochs": epochs, "learning_rate": rate}


def _pair(cells: list[Cell], method: str, over: str, title: str) -> list[Row]:
    return compared([cell for cell in cells if cell.method in (method, over)], over, title)
