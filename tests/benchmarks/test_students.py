"""Students whose training is chosen on the validation split: tried once, with the first seed, and then used by all seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import _cells, _students
from stages.distill import distill
from tests.tiny.toy import WORKLOAD

RAW = Path(__file__).parents[1] / "tiny/toy.json"
FIT = {"epochs": 15, "learning_rate": 1e-2}
TEACH = {"model": {"width": 8, "depth": 1}, "data": {}, "fit": FIT}
SEARCH = {"method": "uniform", "budget": {"unit": "macs", "share": 0.8}, "weights": "scratch"}
POOR, GOOD = ({"fit": FIT | {"learning_rate": rate}} for rate in (1e-9, 3e-2))


@pytest.mark.parametrize(("choices", "best"), [([POOR, GOOD], 1), ([GOOD, POOR], 0)])
def test_the_better_choice_is_made_and_nothing_is_trained_twice(tmp_path, monkeypatch, choices, best):
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    trained = []

    def counted(settings, *args, rng, **paths):
        trained.append((settings.fit.learning_rate, paths["student"].parent.parent.name.split("-")[2]))
        return distill(settings, *args, rng=rng, **paths)

    monkeypatch.setattr(_students, "distill", counted)
    student = {"search": SEARCH, "distill": {"losses": [], "start": "fresh"}, "choices": choices}
    rows = _students.run(WORKLOAD, [_students.Set("rings", RAW, {}, TEACH)], {"student": student}, [3, 4])
    found = {(row["method"], row["metric"]): row for row in rows}
    assert found["student", "chosen"]["mean"] == best
    assert found["student", "macs_share"]["mean"] <= 0.8
    assert found["student", "accuracy"]["seeds"] == 2
    assert sorted(trained) == [(1e-9, "3"), (3e-2, "3"), (3e-2, "4")]
