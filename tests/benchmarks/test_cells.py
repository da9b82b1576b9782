"""Cells: measured once, gathered over seeds, and kept when the measuring is interrupted."""

from __future__ import annotations

import pytest

from benchmarks import _cells
from benchmarks._cells import Cell, measure


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(_cells, "WORK", tmp_path)


CELLS = [Cell("graph", "method", seed, {"rate": 0.1}) for seed in (1, 2, 3)]


def test_rows_are_means_over_seeds_and_nothing_is_measured_twice():
    ran = []

    def run(cell):
        ran.append(cell.seed)
        return {"graph-clean": {"hits": float(cell.seed)}}

    wanted = {"set": "graph-clean", "method": "method", "metric": "hits", "mean": 2.0, "sd": 1.0, "seeds": 3}
    assert measure(CELLS, run) == [wanted]
    assert measure(CELLS, run) == [wanted]
    assert ran == [1, 2, 3]


def test_other_settings_are_measured_anew():
    measure(CELLS[:1], lambda cell: {"graph": {"hits": 1.0}})
    (row,) = measure([Cell("graph", "method", 1, {"rate": 0.2})], lambda cell: {"graph": {"hits": 0.0}})
    assert row["mean"] == 0.0


def test_an_interruption_keeps_what_is_done():
    def run(cell):
        if cell.seed == 2:
            raise KeyboardInterrupt
        return {"graph": {"hits": 1.0}}

    (row,) = measure(CELLS, run)
    assert row["seeds"] == 1
