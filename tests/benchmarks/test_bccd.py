"""The benchmark of detection: which cells it has, and that teachers and the lone student are measured once per seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from benchmarks import _cells, _choices, bccd, bccd_gains
from stillhouse.contracts.files import write_json
from stillhouse.space.cost import parameters, total
from stillhouse.workloads.pictures.detect import WORKLOAD
from tests.workloads.pictures.detect.raws import BOXES, coded, pictures, table

SIZES = {"channels": 3, "height": 96, "width": 128, "classes": 3}
SPLITS = ["train"] * 5 + ["val"] * 3 + ["test"] * 2


def test_every_method_is_measured_once_with_every_seed():
    losses = {"fcos->retinanet+pearson": [0.3, 3.0], "retinanet->retinanet+pearson": [3.0]}
    cells = [cell for seed in bccd.settings["seeds"] for cell in bccd.cells(seed, losses)]
    assert len({cell.folder for cell in cells}) == len(cells) == 3 * (2 + 1 + 2 + 1)
    by_method = {cell.method: cell.settings for cell in cells}
    assert by_method["fcos->retinanet+pearson (3)"]["teach"]["model"]["family"] == "fcos"
    assert by_method["retinanet->alone"]["student"]["distill"]["losses"] == []
    assert by_method["fcos->retinanet+pearson (3)"]["student"] == by_method["retinanet->retinanet+pearson (3)"]["student"]


def test_the_student_is_smaller_than_its_teachers():
    def count(block):
        return total(parameters(WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), SIZES, None)))

    assert all(count(bccd.settings["student"]) < 0.5 * count(teacher) for teacher in bccd.settings["teachers"].values())


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few pictures, on which both benchmarks are short."""
    (tmp_path / "bccd-320").mkdir()
    table(tmp_path / "bccd-320/bccd-320.parquet", list(map(coded, pictures(10))), BOXES, SPLITS, ["ant", "bee", "cat"])
    fit = bccd.settings["teach"] | {"epochs": 1}
    few = {"seeds": [0], "prepare": {"size": [24, 32]}, "teach": fit, "distill": fit, "curve": [1]}
    few |= {"losses": {"pearson": bccd.settings["losses"]["pearson"]}, "weights": {"pearson": [1.0, 3.0]}}
    monkeypatch.setattr(bccd, "settings", bccd.settings | few)
    monkeypatch.setattr(bccd_gains, "settings", {"seeds": [1, 2]})
    monkeypatch.setattr(_choices, "RESULTS", tmp_path)
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    return tmp_path


def test_rows_hold_the_test_split_and_the_way_of_the_validation_score(small):
    rows = {(row["method"], row["metric"]): row["mean"] for row in bccd.run(small)}
    methods = {"fcos", "retinanet", "retinanet->alone", "fcos->retinanet+pearson", "retinanet->retinanet+pearson"}
    assert {method for method, _ in rows if "(" not in method} == methods
    assert {method for method, metric in rows if metric == "valid_map_1"} == {method for method in methods if "->" in method}
    for teacher in ("fcos", "retinanet"):
        tried = {weight: rows[f"{teacher}->retinanet+pearson ({weight:g})", "valid"] for weight in (1.0, 3.0)}
        assert rows[f"{teacher}->retinanet+pearson", "chosen"] == max(tried, key=tried.__getitem__)
    assert rows["fcos->retinanet+pearson", "macs"] == rows["retinanet->alone", "macs"] < rows["fcos", "macs"]
    assert {"map", "map_50", "parameters"} <= {metric for method, metric in rows if method == "fcos"}


def test_gains_are_those_of_the_chosen_weights_on_other_seeds(small):
    chosen = {"fcos->retinanet+pearson": 3.0, "retinanet->retinanet+pearson": 1.0}
    rows = [{"method": method, "metric": "chosen", "mean": weight, "seeds": 3} for method, weight in chosen.items()]
    write_json(small / "bccd.json", {"rows": rows})
    found = {(row["method"], row["metric"]): row for row in bccd_gains.run(small)}
    assert {method: found[method, "chosen"]["mean"] for method in chosen} == chosen
    assert {row["seeds"] for (_, metric), row in found.items() if metric != "chosen"} == {2}
    assert {method for method, metric in found if metric == "map_gain"} == {"fcos", "retinanet", *chosen}
    gain = found["fcos->retinanet+pearson", "map"]["mean"] - found["retinanet->alone", "map"]["mean"]
    assert found["fcos->retinanet+pearson", "map_gain"]["mean"] == pytest.approx(gain)
    folders = {path.name.rpartition("-")[0] for path in (small / "work").glob("*pearson*")}
    assert folders == {f"bccd-320-{method} ({weight:g})-{seed}" for method, weight in chosen.items() for seed in (1, 2)}


def test_no_seed_has_a_part_in_both():
    assert not set(bccd_gains.settings["seeds"]) & set(bccd.settings["seeds"])
