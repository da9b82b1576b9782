"""The table of teachers and students: the columns that a person compares come first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
"""A model: `name`, `kind` (teacher or student), `teacher`, `metric`, `quality`, `kept`, costs, and what it was made by."""
HEADS = ("name", "quality", "kept", "share", "latency, ms", "metric", "agreement", "parameters", "MMACs", "search", "distilled by")
"""The heads of the columns. The share is that of the teacher's MACs; latency is the median per test batch ± its spread."""


def cells(row: Row) -> list[str]:
    """One line of the table, a text per head."""
    latency = f"{row['latency_ms']:.1f} ± {row['latency_spread_ms']:.1f}"
    compared = [row["name"], f"{row['quality']:.4f}", percent(row["kept"]), percent(row["macs_share"]), latency]
    costs = [f"{row['parameters']:,.0f}", f"{row['macs'] / 1e6:,.1f}"]
    return [*compared, row["metric"], percent(row.get("agreement")), *costs, row["search"], row["losses"]]


def quality_and_share(report: Row) -> dict[str, float]:
    """The first numbers that a person compares of a student, as its report.json tells them; `share` is that of the teacher's MACs.

    Raises KeyError if it is an old report, which lacks something.
    """
    student = report["student"]
    return {"quality": float(student[report["metric"]]), "share": macs_share(student, report["teacher"])}


def macs_share(student: Row, teacher: Row) -> float:
    """A student's multiply-accumulates divided by its teacher's."""
    return float(student["macs"] / teacher["macs"])


def percent(value: float | None) -> str:
    """A share as a person reads it; nothing where there is none."""
    return "" if value is None else f"{value:.1%}"


def markdown(rows: Sequence[Row]) -> str:
    """The table as text that reads well raw and rendered."""
    lines = [HEADS, ("---",) * len(HEADS), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
