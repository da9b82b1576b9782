"""Faults: all told at once, at most so many, each of bounded length."""

from __future__ import annotations

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import MOST, every


def odd(number: int) -> int:
    if number % 2 == 0:
        raise UserError(f"file{number} - wanted an odd number - got {number}")
    return number


def test_without_a_fault_there_are_results():
    assert every(odd, [1, 3]) == [1, 3]


def test_a_single_fault_reads_like_any_other():
    with pytest.raises(UserError) as told:
        every(odd, [1, 2])
    assert str(told.value) == "file2 - wanted an odd number - got 2"


def test_all_faults_are_told_then_counted():
    with pytest.raises(UserError) as told:
        every(odd, range(100))
    lines = str(told.value).splitlines()
    assert lines[:-1] == [f"file{number} - wanted an odd number - got {number}" for number in range(0, 2 * MOST, 2)]
    assert lines[-1] == "50 faults in all, the first 20 are named"


def test_faults_of_parts_are_counted_one_by_one():
    with pytest.raises(UserError, match="50 faults in all"):
        every(lambda part: every(odd, part), [range(30), range(30, 100)])


def test_a_message_is_of_bounded_length():
    def refuse(number: int) -> None:
        raise UserError(f"{'n' * 10**6}{number}.png - wanted\nwords - got {'x' * 10**6}!")

    with pytest.raises(UserError) as told:
        every(refuse, range(100))
    assert len(str(told.value)) < 13_000
    assert len(str(told.value).splitlines()) == MOST + 1
    assert "0.png - wanted words" in str(told.value)
    assert "x!" in str(told.value)


def test_other_exceptions_are_not_held_back():
    with pytest.raises(ZeroDivisionError):
        every(lambda number: 1 // number, [0])
