"""compare: all students of every teacher in one table and one picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stillhouse.comparison import charts
from stillhouse.comparison.table import Row, macs_share, markdown
from stillhouse.contracts.data import Log, Metrics
from stillhouse.contracts.files import read_json, write_json

SETTINGS = None
"""Its settings are the names: student -> teacher, read off the students of params.yaml."""


def compare(settings: dict[str, str], *, reports: Path, comparison: Path, log: Log) -> Metrics:
    """Reads the report of every student in `settings` (student -> teacher); writes table.json, table.md and picture.svg.

    Returns quality and share of the teacher's MACs for each student.
    """
    found = {student: reports / student / "report.json" for student in settings}
    rows = _rows({student: read_json(path) for student, path in found.items() if path.exists()}, settings)
    comparison.mkdir(parents=True, exist_ok=True)
    write_json(comparison / "table.json", rows)
    (comparison / "table.md").write_text(markdown(rows), encoding="utf-8")
    (comparison / "picture.svg").write_text(charts.picture(rows), encoding="utf-8")
    facts = dict(_facts_of_students(rows))
    log(facts)
    return facts


def _facts_of_students(rows: list[Row]) -> Iterator[tuple[str, float]]:
    """("umls-dms.quality", 0.9) and the like: the few numbers that DVC shows of an experiment."""
    for row in rows:
        if row["kind"] == "student":
            yield f"{row['name']}.quality", row["quality"]
            yield f"{row['name']}.share", row["macs_share"]


def _rows(reports: dict[str, Row], names: dict[str, str]) -> list[Row]:
    """For each teacher its own row, then its students', cheapest last."""
    rows: list[Row] = []
    for teacher in dict.fromkeys(names[student] for student in reports):
        mine = {student: report for student, report in reports.items() if names[student] == teacher}
        first = next(iter(mine.values()))
        own = {"name": teacher, "kind": "teacher", "teacher": teacher, "search": "", "losses": ""}
        rows.append(own | _facts(first, first["teacher"]) | _remarks(first, "teacher_"))
        rows += [_student_row(student, teacher, report) for student, report in mine.items()]
    return rows


def _student_row(name: str, teacher: str, report: Row) -> Row:
    origin: Row = {"search": report["search"]["method"], "losses": "+".join(report["losses"]) or "none"}
    origin["budget"] = {key: report["search"][key] for key in ("unit", "share")}
    if "latency" in report["search"]:
        origin["latency_budget"] = {**report["search"]["latency"], "predicted_ms": report["search"]["latency_predicted_ms"]}
    facts = _facts(report, report["student"]) | {"agreement": report["agreement"]} | _remarks(report, "student_")
    return {"name": name, "kind": "student", "teacher": teacher} | origin | facts


def _remarks(report: Row, about: str) -> Row:
    """The sentences of the evaluations on a model, where there are any."""
    said = [sentence for name, sentence in report.get("remarks", {}).items() if name.startswith(about)]
    return {"remarks": said} if said else {}


def _facts(report: Row, own: Row) -> Row:
    metric, teacher = report["metric"], report["teacher"]
    return {
        "metric": metric,
        "higher_is_better": report["higher_is_better"],
        "test_examples": report.get("test_examples"),
        "latency_noisy": bool(report.get("latency_noisy")),
        "quality": own[metric],
        "kept": _kept(own[metric], teacher[metric], report["higher_is_better"]),
        "parameters": own["parameters"],
        "macs": own["macs"],
        "macs_share": macs_share(own, teacher),
        "latency_ms": own["latency_ms"],
        "latency_spread_ms": own["latency_spread_ms"],
        "metrics": own,
    }


def _kept(own: float, teacher: float, higher_is_better: bool) -> float | None:
    """Above 1 is better than the teacher: the ratio of the qualities, or of the errors the other way round."""
    ours, theirs = (own, teacher) if higher_is_better else (teacher, own)
    return ours / theirs if theirs else None
