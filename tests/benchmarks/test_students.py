"""Students of one teacher over seeds: what the rows tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import _cells, _students
from stages.core.files import write_json
from tests.tiny.toy import WORKLOAD

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


def test_gains_are_over_another_student_of_the_same_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    entry, students = _students.Set("rings", RAW, {}, TEACH), {"alone": {"search": 1}, "taught": {"search": 2}}
    for seed, values in {3: (0.5, 0.75), 4: (0.9, 0.85), 5: (0.1, None)}.items():
        for (name, block), value in zip(students.items(), values, strict=True):
            if value is not None:
                write_json(_students.cell(entry, name, seed, block).folder / "metrics.json", {"rings": {"quality": value, "other": 9}})
    [row] = _students.gains(entry, students, [3, 4, 5], "alone", "quality")
    assert (row["method"], row["metric"], row["seeds"]) == ("taught", "quality_gain", 2)
    assert row["mean"] == pytest.approx(0.1)
    assert row["sd"] == pytest.approx(0.3 / 2**0.5)
