"""Students of the default teachers inside two budgets: what is measured, and of which blocks of params.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import _cells, latency_budgets
from stillhouse.runner.entries import Entries
from stillhouse.training import timing


def test_each_default_teacher_has_a_student_of_each_budget() -> None:
    found = {(cell.set, cell.method) for cell in latency_budgets.cells()}
    assert found == {
        (teacher, method)
        for teacher in Entries.read(_cells.ROOT / "params.yaml").values["teachers"]
        for method in ("teacher", *latency_budgets.settings["budgets"])
    }


def shortened(blocks: dict[str, Any]) -> dict[str, Any]:
    """Of one epoch each."""
    return {name: 1 if name == "epochs" else shortened(value) if isinstance(value, dict) else value for name, value in blocks.items()}


def test_rows(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where measured latencies are kept
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    monkeypatch.setattr(timing, "SAMPLES", 6)
    teachers, (teacher, student) = latency_budgets._teachers(), latency_budgets._entries()["calls-dms"]
    monkeypatch.setattr(latency_budgets, "_teachers", lambda: shortened(teachers))
    monkeypatch.setattr(latency_budgets, "_entries", lambda: {"calls-dms": (teacher, shortened(student))})
    both = {"both": [{"unit": "latency", "share": 0.8, "runtime": "torch"}, {"unit": "macs", "share": 0.5}]}
    own = {"seeds": 1, "runtime": "torch", "students": ["calls-dms"], "budgets": both}
    monkeypatch.setattr(latency_budgets, "settings", latency_budgets.settings | own)
    monkeypatch.setattr(latency_budgets.latency, "settings", latency_budgets.latency.settings | {"turns": 1, "rounds": 3})
    found = {(row["method"], row["metric"]): row["mean"] for row in latency_budgets.run()}
    assert found["teacher", "macs_share"] == 1
    assert 0 < found["both", "macs_share"] <= 0.5
    assert found["both", "latency_share"] == found["both", "student_ms"] / found["both", "teacher_ms"] > 0
    assert found["both", "latency_predicted_ms"] <= found["both", "latency_budget_ms"]
