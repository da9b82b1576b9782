"""Searches that train, in as many epochs on one teacher: weights with the structure, the structure alone, and cuts in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _students, supernets
from benchmarks._cells import Row, compared, row
from benchmarks._choices import best, named
from benchmarks._few import Block, Method, measured
from benchmarks.pictures import drawn
from stillhouse.workloads.pictures.classify import WORKLOAD

name = "trained_searches"
expected_seconds = 600
needs_data = True
_SEARCH = supernets.fit(4, "constant")
settings: dict[str, Any] = {
    "choosing": [10],
    "seeds": [0, 1, 2],
    "shares": [0.5, 0.25],
    "chosen_at": 0.25,
    **{key: supernets.settings[key] for key in ("prepare", "teach")},
    "draw": {"train": 2000, "val": 500, "test": 5000},
    "searches": {
        "uniform": {"method": "uniform"},
        "dms": {"method": "dms", "settings": {"fit": _SEARCH, "structure_learning_rate": 1e-2}},
        "structure_only": {"method": "dms", "settings": {"fit": _SEARCH, "structure_only": True}},
        "hesso": {"method": "hesso", "settings": {"fit": _SEARCH}},
    },
    "tried": {
        "structure_only": {"structure_learning_rate": [1e-2, 5e-2]},
        "hesso": {"pruning": [0.5, 0.8]},
    },
    "losses": [{"loss": "logits", "settings": {"temperature": 4.0}}],
    "epochs": 12,
}
"""`epochs` are those of search and student together."""


def run(data: Path) -> Iterator[Row]:
    """`data` holds fashion-mnist/fashion-mnist.parquet.

    Validation on the seeds `choosing` chooses, of the values `tried`, one for each search, at the share `chosen_at` (`chosen`).
    `over_uniform` and `over_dms` are paired differences of test accuracy to these methods at the same budget, each with half its 95 %
    interval (`_95`); `student_epochs` is the processor time of search and student in epochs of the teacher.
    """
    entry = _entry(data)
    values = _chosen(entry)
    yield from (row(entry.name, title, "chosen", [value]) for title, value in values.items())
    cells, rows = measured(lambda seed: _methods(entry, values), settings["seeds"])
    yield from rows
    for share in settings["shares"]:
        own = [cell for cell in cells if cell.method.endswith(f"@{share:g}")]
        for over in ("uniform", "dms"):
            yield from compared(own, f"{over}@{share:g}", f"over_{over}")


def _entry(data: Path) -> _students.Set:
    source, draw = data / "fashion-mnist" / "fashion-mnist.parquet", settings["draw"]
    return _students.Set("fashion-mnist", partial(drawn, "fashion-mnist", source, draw), settings["prepare"], settings["teach"], draw)


def _chosen(entry: _students.Set) -> dict[str, float]:
    """The best value of each search."""
    values = {title: value for title, tried in settings["tried"].items() for value in tried.values()}
    tried = {
        named(title, value): Method(entry, _block(title, settings["chosen_at"], value), WORKLOAD)
        for title, given in values.items()
        for value in given
    }
    _, rows = measured(lambda seed: tried, settings["choosing"])
    return {title: best(rows, title, given) for title, given in values.items()}


def _methods(entry: _students.Set, values: Mapping[str, float]) -> dict[str, Method]:
    students = {
        f"{title}@{share:g}": Method(entry, _block(title, share, values.get(title)), WORKLOAD)
        for share in settings["shares"]
        for title in settings["searches"]
    }
    return {"teacher": Method(entry, {}, WORKLOAD)} | students


def _block(title: str, share: float, value: float | None) -> Block:
    search = settings["searches"][title] | {"budget": {"unit": "macs", "share": share}}
    if value is not None:
        search |= {"settings": search["settings"] | dict.fromkeys(settings["tried"][title], value)}
    spent = search["settings"]["fit"]["epochs"] if "settings" in search else 0
    return {"search": search, "distill": {"losses": settings["losses"], "fit": supernets.fit(settings["epochs"] - spent)}}
