"""The benchmark of supernets: who is trained, and what all budgets cost together."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import _cells, pictures, supernets
from stillhouse.training.files import write_parquet
from tests.workloads.pictures.detect import raws


def test_a_nested_teacher_serves_all_budgets_and_each_search_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = deepcopy(supernets.settings) | {"seeds": [3], "shares": [0.5], "draw": {"train": 6, "val": 2, "test": 2}}
    small["teach"] |= {"model": {"family": "resnet", "stem": "small", "width": 4, "blocks": [1]}, "fit": supernets.fit(1)}
    small["students"] = {title: small["students"][title] for title in ("prefix", "uniform")}
    small["students"]["prefix"]["search"]["settings"] = {"candidates": 2}
    small["students"]["uniform"]["distill"] = {"losses": [], "fit": supernets.fit(1)}
    monkeypatch.setattr(supernets, "settings", small)
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    monkeypatch.setattr(pictures, "WORK", tmp_path / "work")
    (tmp_path / "fashion-mnist").mkdir()
    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    columns = {"image": list(map(raws.coded, raws.pictures(12))), "label": [0, 1] * 6, "split": splits}
    write_parquet(tmp_path / "fashion-mnist/fashion-mnist.parquet", columns)
    rows = {(found["method"], found["metric"]): found["mean"] for found in supernets.run(tmp_path)}
    assert {method for method, metric in rows if metric == "accuracy"} == {"teacher", "nested", "prefix@0.5", "uniform@0.5"}
    assert rows["prefix@0.5", "accuracy_gain"] == pytest.approx(rows["prefix@0.5", "accuracy"] - rows["uniform@0.5", "accuracy"])
    assert rows["prefix@0.5", "macs_share"] <= 0.5
    assert {method for method, metric in rows if metric == "epochs_in_all"} == {"prefix", "uniform"}
    assert rows["uniform", "epochs_in_all"] > 1
