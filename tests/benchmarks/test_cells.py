"""Cells: measured once, gathered over seeds, and kept when the measuring is interrupted."""

from __future__ import annotations

import pytest

from benchmarks import _cells
from benchmarks._cells import Cell, gains, intervals, measure, row


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


def test_gains_are_over_another_method_with_the_same_seed():
    values = {"alone": (0.5, 0.9, 0.1), "taught": (0.75, 0.85, None)}
    cells = [Cell("graph", method, seed, {}) for seed in (1, 2, 3) for method in values]
    measured = {method: dict(zip((1, 2, 3), found, strict=True)) for method, found in values.items()}
    measure(
        [cell for cell in cells if measured[cell.method][cell.seed] is not None],
        lambda cell: {"graph": {"quality": measured[cell.method][cell.seed], "other": 9.0}},
    )
    [row] = gains(cells, "alone", "quality")
    assert (row["set"], row["method"], row["metric"], row["seeds"]) == ("graph", "taught", "quality_gain", 2)
    assert row["mean"] == pytest.approx(0.1)
    assert row["sd"] == pytest.approx(0.3 / 2**0.5)


def test_the_interval_of_a_mean_is_that_of_students_t_and_one_seed_has_none():
    few, one = row("graph", "taught", "quality_gain", [0.1, 0.3, 0.2]), row("graph", "taught", "quality_gain", [0.1])
    [found] = intervals([few, one])
    assert (found["metric"], found["seeds"]) == ("quality_gain_95", 3)
    assert found["mean"] == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
