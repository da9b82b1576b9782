"""Latency: a call that does more takes longer, the round before the first is not counted, and it ends when it is steady or late."""

import time

import pytest
import torch

from stillhouse.training import latency
from stillhouse.training.latency import Latency, interleaved

CPU = torch.device("cpu")


class Clock:
    """A clock that stands still but for what calls take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)

    def call(self, *seconds: float):
        """Takes these times one after another, the last one for ever."""
        left = list(seconds)

        def run() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(latency, "time", type("Time", (), {"perf_counter": staticmethod(time.perf_counter)}))
    return Clock(monkeypatch)


def test_calls_take_turns():
    order = []
    interleaved({"slow": lambda: order.append("slow"), "fast": lambda: order.append("fast")}, CPU, rounds=3, spread=9, seconds=0)
    assert order == ["slow", "fast"] * 4


def test_medians_are_milliseconds(clock):
    times = interleaved({"slow": clock.call(0.02), "fast": clock.call(0.002)}, CPU, rounds=3, spread=0.05, seconds=1)
    assert times["slow"].median == pytest.approx(20)
    assert times["fast"].median == pytest.approx(2)
    assert times["slow"].spread == pytest.approx(0, abs=1e-9)


def test_the_round_before_the_first_is_not_counted(clock):
    assert interleaved({"a": clock.call(5.0, 0.01)}, CPU, rounds=1, spread=0.05, seconds=0)["a"].median == pytest.approx(10)


def test_a_steady_call_ends_after_its_rounds(clock):
    assert interleaved({"a": clock.call(0.01)}, CPU, rounds=7, spread=0.05, seconds=1000)["a"].rounds == 7


def test_an_unsteady_call_is_repeated_until_it_is_steady(clock):
    found = interleaved(
        {"a": clock.call(0.01, 0.03, 0.01, 0.03, 0.01, 0.02), "b": clock.call(0.01)}, CPU, rounds=4, spread=0.05, seconds=1000
    )
    assert found["a"].rounds > 8
    assert found["a"].relative <= 0.05


def test_the_time_limit_ends_what_never_becomes_steady(clock):
    times = [0.01, 0.03] * 1000
    found = interleaved({"a": clock.call(0.0, *times)}, CPU, rounds=4, spread=0.05, seconds=1.0)["a"]
    assert 40 <= found.rounds <= 60
    assert found.relative > 0.05


@pytest.mark.parametrize(("threads", "name"), [(1, "process_time"), (2, "perf_counter")])
def test_the_least_is_of_the_processors_time_where_one_thread_computes(monkeypatch, threads, name):
    times = iter([9.0, 9.0, 0.05, 0.02, 0.03])
    now = [0.0]
    monkeypatch.setattr(latency, "time", type("Time", (), {name: staticmethod(lambda: now[0])}))

    def call() -> None:
        now[0] += next(times)

    assert latency.least(call, rounds=30, seconds=0.01, threads=threads) == pytest.approx(20)


def test_the_spread_is_half_the_interquartile_range():
    assert Latency(20.0, 1.0, 5).relative == 0.05
    assert latency._summary([0.001, 0.002, 0.003, 0.004, 0.005]) == Latency(3.0, 1.0, 5)
