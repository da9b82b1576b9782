"""The benchmark of a search's step runs, and counts what each method learns."""

import pytest

from benchmarks import search_cost


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"seeds": 2, "seconds_per_timing": 1e-3, "blocks": 2}
    monkeypatch.setattr(search_cost, "settings", search_cost.settings | small)
    monkeypatch.setattr(search_cost, "SIZES", ((8, 4),))
    rows = list(search_cost.run())
    assert {row["method"] for row in rows if row["metric"] == "milliseconds"} == {"plain", "dms", "gumbel, per element"}
    assert all(row["mean"] > 0 and row["seeds"] == 2 for row in rows if row["metric"] == "milliseconds")
    # One number each for the trunk, two insides and the depth; two numbers for each of 8 + 32 + 32 + 2 elements.
    assert {row["method"]: row["mean"] for row in rows if row["metric"] == "learnable numbers"} == {"dms": 4, "gumbel, per element": 148}
