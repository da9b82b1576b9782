"""The benchmark of searches that train: as many epochs for all, values from validation, and pairs of one budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import _cells, _students, trained_searches
from benchmarks._cells import Cell

ORDER = ("teacher", "uniform", "dms", "hesso", "structure_only")


def _accuracy(cell: Cell) -> float:
    title, _, share = cell.method.partition("@")
    return 0.1 * ORDER.index(title) + float(share or 1) if title in ORDER else 0.0


def _tried(cell: Cell) -> float:
    """Lower values are better."""
    return -float(cell.method.partition("(")[2].rstrip(")") or 0)


@pytest.mark.parametrize("title", trained_searches.settings["searches"])
def test_all_students_have_as_many_epochs(title: str) -> None:
    block = trained_searches._block(title, 0.5, 0.5 if title in trained_searches.settings["tried"] else None)
    searched = block["search"].get("settings", {"fit": {"epochs": 0}})["fit"]["epochs"]
    assert searched + block["distill"]["fit"]["epochs"] == trained_searches.settings["epochs"]


def test_a_value_that_is_tried_is_set_by_its_name() -> None:
    assert trained_searches._block("hesso", 0.5, 0.8)["search"]["settings"]["pruning"] == 0.8
    assert trained_searches._block("structure_only", 0.5, 0.3)["search"]["settings"]["structure_learning_rate"] == 0.3


def test_differences_are_to_methods_of_the_same_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    monkeypatch.setattr(_students, "measured", lambda workload, cell, entry: {"accuracy": _accuracy(cell), "valid": _tried(cell)})
    rows = {(row["method"], row["metric"]): row["mean"] for row in trained_searches.run(tmp_path)}
    for share in (0.5, 0.25):
        for over, gain in (("uniform", 0.2), ("dms", 0.1)):
            assert rows[f"hesso@{share}", f"over_{over}"] == pytest.approx(gain)
            assert (f"{over}@{share}", f"over_{over}") not in rows
    assert ("teacher", "over_dms") not in rows
    chosen = {method: value for (method, metric), value in rows.items() if metric == "chosen"}
    assert chosen == {"structure_only": 1e-2, "hesso": 0.5}
