"""Students of one teacher over seeds: what the rows tell."""

from __future__ import annotations

from pathlib import Path

from benchmarks import _cells, _students
from tests.tiny.parts.workloads.toy import WORKLOAD

RAW = Path(__file__).parents[1] / "tiny/toy.json"
FIT = {"epochs": 15, "learning_rate": 1e-2}
TEACH = {"model": {"width": 8, "depth": 1}, "data": {}, "fit": FIT}
SEARCH = {"method": "uniform", "budget": {"unit": "macs", "share": 0.8}, "weights": "scratch"}


def test_rows_tell_quality_and_cost_of_teacher_and_student_over_all_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    student = {"search": SEARCH, "distill": {"losses": [], "start": "fresh", "fit": FIT}}
    rows = _students.run(WORKLOAD, [_students.Set("rings", RAW, {}, TEACH)], {"student": student}, [3, 4])
    found = {(row["method"], row["metric"]): row for row in rows}
    assert {row["seeds"] for row in rows} == {2}
    assert found["student", "macs_share"]["mean"] <= 0.8 < found["teacher", "macs_share"]["mean"] == 1
    assert {"accuracy", "valid", "parameters"} <= {metric for method, metric in found if method == "teacher"}
    assert found["student", "student_epochs"]["mean"] > found["student", "search_epochs"]["mean"] > 0
