"""The answer before the tables: the cheapest student within the gate, and what one seed and few examples cannot tell."""

from __future__ import annotations

from typing import Any

import pytest

from stillhouse.comparison.gate import Gate
from stillhouse.report.answer import Answer, answers, chance


def row(name: str, kind: str = "student", **changes: Any) -> dict[str, Any]:
    values = {"name": name, "kind": kind, "teacher": "rings", "metric": "accuracy", "quality": 0.9, "kept": 1.0, "macs_share": 0.5}
    values |= {"latency_ms": 1.5, "latency_spread_ms": 0.2, "higher_is_better": True, "test_examples": 1000.0, "latency_noisy": False}
    values |= {"budget": {"unit": "macs", "share": 0.5}} | changes
    return {"metrics": {"macs": 1e7 * values["macs_share"]}, **values}


TEACHER = row("rings", "teacher", macs_share=1.0)


def answer(*students: dict[str, Any], teacher: dict[str, Any] = TEACHER) -> Answer:
    [found] = answers([teacher, *students], Gate())
    return found


def test_the_smallest_share_within_the_gate_is_taken():
    found = answer(row("large", quality=0.95), row("small", macs_share=0.25, quality=0.88), row("poor", macs_share=0.1, quality=0.5))
    assert found.choice == "rings: take small, at 25.0% of the teacher's MACs"
    assert (
        found.sentences[1]
        == "The gate, which wants 95.0% kept, lets it pass; it costs 25.0% of its teacher's macs, within its budget of 50.0%."
    )
    assert "Of 3 students 2 pass" in found.sentences[2]


def test_one_above_its_budget_is_not_taken():
    found = answer(row("above", macs_share=0.3, budget={"unit": "macs", "share": 0.25}), row("half"))
    assert found.choice.startswith("rings: take half")


def timed(name: str, measured: float, **changes: Any) -> dict[str, Any]:
    budget = {"runtime": "onnx", "threads": 1, "predicted_ms": 2.9, "budget_ms": 3.0}
    return row(name, latency_budget=budget, metrics={"macs": 5e6, "latency": measured}, **changes)


def test_a_latency_outside_its_budget_is_told_of_every_student_and_one_inside_of_the_chosen():
    sentences = answer(timed("good", 2.875, quality=0.93), timed("late", 3.5), timed("fast", 1.0)).sentences
    told = [sentence for sentence in sentences if sentence.startswith("The network of")]
    assert told == [
        "The network of good takes 2.88 ms on onnx with 1 thread, for which 2.9 ms were predicted: it is inside its budget of 3 ms.",
        "The network of late takes 3.5 ms on onnx with 1 thread, for which 2.9 ms were predicted: it is 0.5 ms outside its budget of 3 ms.",
    ]


@pytest.mark.parametrize(("higher", "best"), [(True, "high"), (False, "low")])
def test_at_equal_shares_the_better_quality_decides(higher: bool, best: str):
    changes = {"higher_is_better": higher, "metric": "accuracy" if higher else "mape"}
    teacher = row("rings", "teacher", macs_share=1.0, **changes)
    students = row("high", quality=0.92, macs_share=0.5001, **changes), row("low", quality=0.89, macs_share=0.4999, **changes)
    assert answer(*students, teacher=teacher).choice.startswith(f"rings: take {best},")


def test_where_none_passes_the_best_is_named_with_what_the_gate_wants():
    found = answer(row("worst", quality=0.2), row("bad", quality=0.5))
    assert found.choice.startswith("rings: no student passes the gate; the nearest is bad")
    assert found.sentences[1] == "The gate refuses it: it keeps 55.6% of its teacher's accuracy (0.5 to 0.9) and 95.0% are wanted."
    assert "None of 2 passes" in found.sentences[2]


def test_it_says_what_cannot_be_told_apart():
    sentences = answer(row("one", quality=0.91), row("like", quality=0.90), row("far", quality=0.87)).sentences
    assert (
        sentences[3] == "One seed each, so how far results differ between seeds is not known; 1,000 rows of the test split were answered."
    )
    assert sentences[4] == "Differences in accuracy below about 0.025 say nothing, so like cannot be told from it by quality."
    assert "chosen among 3" in sentences[5]


def test_several_seeds_are_told_with_their_spread():
    sentences = answer(row("one", seeds={1: 0.9, 2: 0.8, 3: 0.85})).sentences
    wanted = "Over 3 seeds its accuracy is 0.85 ± 0.05 (mean and standard deviation), from 0.8 to 0.9; 1,000 rows"
    assert sentences[3].startswith(wanted)


def test_the_room_of_chance_is_the_textbooks_and_never_zero():
    assert chance(row("x", quality=0.5, test_examples=100.0)) == pytest.approx(1.96 * (2 * 0.25 / 100) ** 0.5)
    assert 0 < (chance(row("x", quality=1.0, test_examples=100.0)) or 0) < 0.05
    assert chance(row("x", metric="mixed_hits@10")) is None, "its rows are those of three tasks"


@pytest.mark.parametrize("changes", [{"metric": "skill"}, {"test_examples": None}])
def test_without_a_bound_no_number_is_given(changes: dict[str, Any]):
    found = answer(row("half", **changes), row("other", **changes))
    why = "the bound is known for accuracy alone" if "metric" in changes else "the number of test examples is not known"
    assert found.sentences[4].endswith(f"is not known either ({why}): train with other seeds to see.")
    assert not [sentence for sentence in found.sentences if "say nothing" in sentence]


def test_a_latency_of_a_noisy_machine_says_so():
    assert "on a machine that was noisy" in answer(row("half", latency_noisy=True)).sentences[0]
    assert "noisy" not in answer(row("half")).sentences[0]


def test_a_teacher_without_students_has_no_answer():
    assert list(answers([TEACHER], Gate())) == []
