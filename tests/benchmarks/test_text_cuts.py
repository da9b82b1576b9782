"""The benchmark of students cut out of a BERT: as many epochs for all, and pairs that differ in one thing."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks import _cells, _students, text_cuts
from benchmarks._cells import Cell

ACCURACY = defaultdict(float, teacher=0.7) | {
    f"{search}, {training}@{share}": base + gain - (0.3 if share == 0.25 else 0)
    for share in (0.5, 0.25)
    for search, base in (("dms", 0.6), ("taylor", 0.5))
    for training, gain in (("task alone", 0), ("logits", 0.02))
}


def _valid(cell: Cell) -> float:
    """The higher rate is the better one for `dms` alone."""
    fit = cell.settings["student"].get("distill", {}).get("fit", {"learning_rate": 0})
    return fit["learning_rate"] * (1 if cell.method.startswith("dms") else -1)


def test_all_students_have_as_many_epochs() -> None:
    for search in text_cuts.settings["searches"]:
        block = text_cuts._block(search, "logits", 0.5, 1e-3)
        searched = block["search"]["settings"].get("fit", {"epochs": 0})["epochs"]
        assert searched + block["distill"]["fit"]["epochs"] == text_cuts.settings["epochs"]


def test_pairs_differ_in_the_loss_or_in_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    monkeypatch.setattr(_students, "measured", lambda workload, cell, entry: {"accuracy": ACCURACY[cell.method], "valid": _valid(cell)})
    rows = {(row["method"], row["metric"]): row["mean"] for row in text_cuts.run(tmp_path)}
    gains = {method: value for (method, metric), value in rows.items() if metric == "taught_gain"}
    assert gains == pytest.approx({f"{search}, logits@{share}": 0.02 for search in ("dms", "taylor") for share in (0.5, 0.25)})
    ahead = {method: value for (method, metric), value in rows.items() if metric == "over_taylor"}
    assert ahead == pytest.approx({f"dms, {training}@{share}": 0.1 for training in ("task alone", "logits") for share in (0.5, 0.25)})
    assert rows["taylor, logits@0.25", "over_teacher"] == pytest.approx(ACCURACY["taylor, logits@0.25"] - ACCURACY["teacher"])
    chosen = {method: value for (method, metric), value in rows.items() if metric == "chosen"}
    assert chosen == {"dms": 2e-3, "taylor": 5e-4}
