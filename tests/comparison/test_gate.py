"""Who may be the champion."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.comparison.gate import Champion, Gate, Result, judge

GATE = Gate.model_validate({})
FINE = Result("accuracy", True, 0.96, 1.0, "macs", 0.5, 0.5, "d1")
ERROR = replace(FINE, metric="mape", higher_is_better=False, quality=0.1, teacher=0.1)
PRESENT = Champion("3", "accuracy", 0.95, "d1")


def test_a_student_that_keeps_its_teachers_quality_within_its_budget_is_the_first_champion():
    verdict = judge(GATE, FINE, None)
    assert verdict.passed
    assert verdict.reason == (
        "it keeps 96.0% of its teacher's accuracy (0.96 to 1); it costs 50.0% of its teacher's macs, within its budget of 50.0%; "
        "there is no champion yet"
    )


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({"quality": 0.95}, True),
        ({"quality": 0.9499}, False),
        ({"quality": 1.2}, True),
        ({"quality": float("nan")}, False),
        ({"quality": -0.1, "teacher": -0.1}, True),
        ({"quality": -0.2, "teacher": -0.1}, False),
        ({"quality": 0.1, "teacher": -0.1}, True),
        ({"quality": -0.1, "teacher": 0.1}, False),
        ({"cost": 0.505}, True),
        ({"cost": 0.506}, False),
    ],
)
def test_quality_and_budget_where_higher_is_better(change: dict[str, float], passed: bool):
    assert judge(GATE, replace(FINE, **change), None).passed is passed


@pytest.mark.parametrize(
    ("quality", "teacher", "passed"),
    [(0.1, 0.1, True), (0.105, 0.1, True), (0.106, 0.1, False), (0.0, 0.1, True), (0.0, 0.0, True), (0.1, 0.0, False)],
)
def test_quality_where_lower_is_better(quality: float, teacher: float, passed: bool):
    assert judge(GATE, replace(ERROR, quality=quality, teacher=teacher), None).passed is passed


@pytest.mark.parametrize(("quality", "passed"), [(0.9599, True), (0.96, False), (0.97, False)])
def test_a_champion_on_the_same_test_data_must_be_beaten(quality: float, passed: bool):
    assert judge(GATE, FINE, replace(PRESENT, quality=quality)).passed is passed


@pytest.mark.parametrize(("quality", "passed"), [(0.11, True), (0.1, False), (0.09, False)])
def test_a_champion_with_a_lesser_error_is_better(quality: float, passed: bool):
    assert judge(GATE, ERROR, replace(PRESENT, metric="mape", quality=quality)).passed is passed


@pytest.mark.parametrize("champion", [replace(PRESENT, data="d2"), replace(PRESENT, quality=None), replace(PRESENT, metric="f1")])
def test_a_champion_that_cannot_be_compared_stays_unless_the_gate_says_otherwise(champion: Champion):
    kept = judge(GATE, FINE, champion)
    assert kept.reason == "version 3, the present champion, was not measured on these test data, and gate.other_data is keep"
    assert not kept.passed
    assert judge(Gate.model_validate({"other_data": "replace"}), FINE, champion).passed


def test_only_what_fails_is_told_of_a_failure():
    verdict = judge(GATE, replace(FINE, quality=0.5, cost=0.7), PRESENT)
    assert verdict.reason == (
        "it keeps 50.0% of its teacher's accuracy (0.5 to 1) and 95.0% are wanted; "
        "it costs 70.0% of its teacher's macs, above its budget of 50.0%; "
        "version 3, the present champion, has 0.95 on the same test data, no worse"
    )


@given(quality=st.floats(0.01, 1), teacher=st.floats(0.01, 1), better=st.floats(1.0, 2.0), kept=st.floats(0.1, 1.5))
def test_a_better_student_is_never_judged_worse(quality: float, teacher: float, better: float, kept: float):
    gate = Gate.model_validate({"kept": kept})
    first = judge(gate, replace(FINE, quality=quality, teacher=teacher), None).passed
    assert judge(gate, replace(FINE, quality=quality * better, teacher=teacher), None).passed >= first
    error = judge(gate, replace(ERROR, quality=quality, teacher=teacher), None).passed
    assert judge(gate, replace(ERROR, quality=quality / better, teacher=teacher), None).passed >= error
