"""What a stage took of the machine."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from stillhouse.runner import usage


def sample(seconds: float = 0.0) -> dict[str, list[float]]:
    rows: list[usage.Row] = []
    with usage.sampled(rows):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
    found: dict[str, list[float]] = {}
    for name, value, *_ in rows:
        found.setdefault(name, []).append(value)
    return found


def test_the_shortest_stage_has_a_sample():
    found = sample()
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, 1)
    assert set(found) == {"system/cpu_percent", "system/memory_megabytes", "system/seconds"}


def test_work_is_seen_and_memory_is_that_of_this_process():
    busy = sample(0.3)
    assert busy["system/cpu_percent"][0] * busy["system/seconds"][0] / 100 == pytest.approx(0.3, abs=0.2)
    assert 10 < busy["system/memory_megabytes"][0] < 100_000


def test_a_child_counts():
    with subprocess.Popen([sys.executable, "-c", "x = bytearray(200_000_000); print(flush=True); input()"], stdin=-1, stdout=-1) as child:
        assert child.stdout
        child.stdout.readline()
        with_child = sample()["system/memory_megabytes"][0]
        child.communicate(b"\n")
    assert with_child - sample()["system/memory_megabytes"][0] > 150


def test_a_long_stage_keeps_a_bounded_number_of_samples_over_all_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usage, "PERIOD", 0.001)
    monkeypatch.setattr(usage, "MOST", 4)
    rows: list[usage.Row] = []
    with usage.sampled(rows):
        time.sleep(0.3)
    memory = [row for row in rows if row[0] == "system/memory_megabytes"]
    assert 4 <= len(memory) <= 10
    assert [row[3] for row in memory] == list(range(len(memory)))
    assert memory[-1][2] - memory[0][2] > 50, "the first and the last are far apart"


def test_the_samples_are_told_when_the_stage_fails():
    rows: list[usage.Row] = []
    with pytest.raises(ZeroDivisionError), usage.sampled(rows):
        raise ZeroDivisionError
    assert rows


def test_mlflow_is_not_imported_for_it():
    code = "import sys, stillhouse.runner.usage; print('mlflow' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False False\n"
