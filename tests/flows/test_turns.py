"""Turns: a stage that is alone overlaps with none, and nobody waits for ever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from stillhouse.flows.turns import Turns


def test_what_is_alone_overlaps_with_nothing_and_others_run_together():
    turns, stop, spans = Turns(), Event(), []

    def stage(index: int) -> None:
        alone = index % 4 == 3
        with turns.take(alone, stop):
            started = time.monotonic()
            time.sleep(0.02)
            spans.append((alone, started, time.monotonic()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stage, range(24), timeout=30))
    pairs = [(a, b) for i, a in enumerate(spans) for b in spans[i + 1 :] if a[1] < b[2] and b[1] < a[2]]
    assert len(spans) == 24
    assert pairs, "those that are not alone run side by side"
    assert [pair for pair in pairs if pair[0][0] or pair[1][0]] == []


def test_an_interruption_ends_the_wait():
    turns, stop = Turns(), Event()
    with turns.take(False, stop), ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: turns.take(True, stop).__enter__())
        time.sleep(0.05)
        assert not waiting.done()
        stop.set()
        waiting.result(timeout=5)
