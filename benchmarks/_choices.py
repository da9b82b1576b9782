"""Methods with a value that is chosen, a rate or a weight: all values are measured, and the validation split chooses."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.__main__ import RESULTS
from benchmarks._cells import Row
from stillhouse.contracts.files import read_json


def named(method: str, value: float) -> str:
    """A method with a value that is tried."""
    return f"{method} ({value:g})"


def best(rows: Sequence[Row], method: str, values: Sequence[float]) -> float:
    """The value with the highest mean score on the validation split over all seeds, the first one of equals."""
    scores = {row["method"]: row["mean"] for row in rows if row["metric"] == "valid"}
    return max(values, key=lambda value: scores[named(method, value)])


def chosen(rows: Sequence[Row], method: str, values: Sequence[float]) -> list[Row]:
    """The rows of the best value under the method's own name, and that value as the metric `chosen`."""
    value = best(rows, method, values)
    own = [row | {"method": method} for row in rows if row["method"] == named(method, value)]
    return [*own, own[0] | {"metric": "chosen", "mean": value, "sd": 0.0}]


def recorded(benchmark: str) -> list[Row]:
    """The rows `chosen` in the results of a benchmark."""
    rows: list[Row] = read_json(RESULTS / f"{benchmark}.json")["rows"]
    return [row for row in rows if row["metric"] == "chosen"]


def unnamed(row: Row) -> Row:
    """A row under the method's own name."""
    return row | {"method": row["method"].partition(" ")[0]}
