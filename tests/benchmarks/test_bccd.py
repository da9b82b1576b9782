"""The benchmark of detection: which cells it has, and that teachers and the lone student are measured once a seed."""

from __future__ import annotations

from pydantic import TypeAdapter

from benchmarks import _cells, bccd
from stages.core.cost import parameters, total
from stages.workloads.detect import WORKLOAD
from tests.workloads.detect.raws import BOXES, coded, pictures, table

SIZES = {"channels": 3, "height": 96, "width": 128, "classes": 3}
SPLITS = ["train"] * 5 + ["val"] * 3 + ["test"] * 2


def test_every_method_is_measured_once_with_every_seed():
    cells = [cell for seed in bccd.settings["seeds"] for cell in bccd._cells(seed)]
    assert len({cell.folder for cell in cells}) == len(cells) == 3 * (2 + 1 + 2 * (4 + 3 + 3))
    by_method = {cell.method: cell.settings for cell in cells}
    assert by_method["fcos->retinanet+pearson (3)"]["teach"]["model"]["family"] == "fcos"
    assert by_method["retinanet->alone"]["student"]["distill"]["losses"] == []
    assert by_method["fcos->retinanet+pearson (3)"]["student"] == by_method["retinanet->retinanet+pearson (3)"]["student"]


def test_the_student_is_smaller_than_its_teachers():
    def count(block):
        return total(parameters(WORKLOAD.model(TypeAdapter(WORKLOAD.model_settings).validate_python(block), SIZES, None)))

    assert all(count(bccd.settings["student"]) < 0.5 * count(teacher) for teacher in bccd.settings["teachers"].values())


def test_rows_hold_the_test_split_and_the_way_of_the_validation_score(tmp_path, monkeypatch):
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    (tmp_path / "bccd-320").mkdir()
    table(tmp_path / "bccd-320/bccd-320.parquet", list(map(coded, pictures(10))), BOXES, SPLITS, ["ant", "bee", "cat"])
    fit = bccd.settings["teach"] | {"epochs": 1}
    small = {"seeds": [0], "prepare": {"size": [24, 32]}, "teach": fit, "distill": fit, "curve": [1]}
    small |= {"losses": {"pearson": bccd.settings["losses"]["pearson"]}, "weights": {"pearson": [1.0, 3.0]}}
    monkeypatch.setattr(bccd, "settings", bccd.settings | small)
    rows = {(row["method"], row["metric"]): row["mean"] for row in bccd.run(tmp_path)}
    methods = {"fcos", "retinanet", "retinanet->alone", "fcos->retinanet+pearson", "retinanet->retinanet+pearson"}
    assert {method for method, _ in rows if "(" not in method} == methods
    assert {method for method, metric in rows if metric == "valid_map_1"} == {method for method in methods if "->" in method}
    for teacher in ("fcos", "retinanet"):
        tried = {weight: rows[f"{teacher}->retinanet+pearson ({weight:g})", "valid"] for weight in (1.0, 3.0)}
        assert rows[f"{teacher}->retinanet+pearson", "chosen"] == max(tried, key=tried.__getitem__)
    assert rows["fcos->retinanet+pearson", "macs"] == rows["retinanet->alone", "macs"] < rows["fcos", "macs"]
    assert {"map", "map_50", "parameters"} <= {metric for method, metric in rows if method == "fcos"}
