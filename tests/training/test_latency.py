"""Latency: a call that does more takes longer, and the first round is not counted."""

import time

import torch

from stillhouse.training.latency import interleaved


def test_medians_are_milliseconds_and_calls_take_turns():
    order = []
    calls = {"slow": lambda: (order.append("slow"), time.sleep(0.02)), "fast": lambda: (order.append("fast"), time.sleep(0.002))}
    times = interleaved(calls, 3, torch.device("cpu"))
    assert order == ["slow", "fast"] * 4
    assert 20 <= times["slow"][0] < 200
    assert times["fast"][0] < times["slow"][0]
    assert all(spread >= 0 for _, spread in times.values())
