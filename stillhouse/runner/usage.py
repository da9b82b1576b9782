"""What a stage takes of the machine, sampled beside it by a thread that does next to nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

Row = tuple[str, float, int, int]
"""(metric, value, time in milliseconds since 1970, step)"""
PERIOD = 2.0
"""Seconds between two samples at first."""
MOST = 240
"""Samples that are kept; with twice as many every other one is dropped, and the period doubles."""


@contextmanager
def sampled(rows: list[Row]) -> Iterator[None]:
    """Fills the list when the block ends: processor and memory of this process and of its children over time.

    `system/cpu_percent` is 100 for one busy core; `system/memory_megabytes` is what is resident, of CUDA's memory the most that was
    ever in use. The names make MLflow show them as metrics of the system.
    """
    sampler = _Sampler()
    sampler.start()
    began = time.monotonic()
    try:
        yield
    finally:
        sampler.stop()
        now = int(1000 * time.time())
        rows += sampler.rows()
        rows.append(("system/seconds", time.monotonic() - began, now, 0))
        if peak := _cuda_peak():
            rows.append(("system/cuda_memory_megabytes", peak, now, 0))


class _Sampler(threading.Thread):
    """Holds samples (time, seconds of processor time until then, bytes)."""

    def __init__(self) -> None:
        super().__init__(name="usage", daemon=True)
        self._ended = threading.Event()
        self._period = PERIOD
        self._samples = [_look()]

    def run(self) -> None:
        while not self._ended.wait(self._period):
            self._samples.append(_look())
            if len(self._samples) > 2 * MOST:
                self._samples = self._samples[::2]
                self._period *= 2

    def stop(self) -> None:
        """Takes the last sample."""
        self._ended.set()
        self.join()
        self._samples.append(_look())

    def rows(self) -> list[Row]:
        """The load between each two samples, and the memory at the second one."""
        rows: list[Row] = []
        for step, (before, after) in enumerate(zip(self._samples, self._samples[1:], strict=False)):
            at, load = int(1000 * after[0]), max(0.0, after[1] - before[1]) / max(1e-3, after[0] - before[0])
            rows += [("system/cpu_percent", 100 * load, at, step), ("system/memory_megabytes", after[2] / 1e6, at, step)]
        return rows


def _look() -> tuple[float, float, int]:
    own = psutil.Process()
    seconds, size = 0.0, 0
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error):  # a child that has just ended
            times = process.cpu_times()
            seconds += times.user + times.system
            size += process.memory_info().rss
    return time.time(), seconds, size


def cuda_is_in_use() -> bool:
    """Whether PyTorch has been loaded and has touched a CUDA device."""
    torch = sys.modules.get("torch")
    return bool(torch and torch.cuda.is_initialized())


def _cuda_peak() -> float:
    """Megabytes; 0 where PyTorch has not touched a CUDA device."""
    return sys.modules["torch"].cuda.max_memory_allocated() / 1e6 if cuda_is_in_use() else 0.0
