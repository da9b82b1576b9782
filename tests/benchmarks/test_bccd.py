"""The benchmark of detection: which cells it has, and that teachers and the lone student are measured once per seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from benchmarks import _cells, _choices, _lent, bccd, bccd_backbones, bccd_gains, bccd_labels
from stillhouse.contracts.files import write_json
from stillhouse.space.cost import parameters, total
from stillhouse.training import given
from stillhouse.workloads.pictures.detect import WORKLOAD
from tests.workloads.pictures.classify import raws
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


@pytest.fixture
def lent(small: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that a lent backbone was put in, whose weights are none that fit."""
    images = [raws.coded(picture) for picture in raws.pixels(12, height=16, width=16)]
    (small / "cifar10-jpeg").mkdir()
    raws.table(small / "cifar10-jpeg/cifar10-jpeg.parquet", images, [0, 1] * 6, ["train"] * 6 + ["val"] * 2 + ["test"] * 4)
    monkeypatch.setattr(_lent, "PICTURES", {"data": {"batch_size": 3}, "fit": {"epochs": 1, "learning_rate": 1e-2}})
    monkeypatch.setattr(_lent, "WORK", small / "work")
    shape = {"width": 4, "blocks": [1, 1, 1]}
    monkeypatch.setattr(bccd_backbones, "settings", {"seeds": [1], "backbone": shape, "losses": ["pearson"]})
    chosen = {"method": "fcos->retinanet+pearson", "metric": "chosen", "mean": 3.0, "seeds": 3}
    write_json(small / "bccd.json", {"rows": [chosen]})
    parts: list[str] = []
    monkeypatch.setattr(given, "load", lambda model, file, part="": parts.append(part))
    return parts


def test_students_of_both_families_are_held_against_a_control_of_their_own(small: Path, lent: list[str]):
    found = {(row["method"], row["metric"]): row["mean"] for row in bccd_backbones.run(small)}
    assert lent == ["backbone"], "of one teacher, and not of the one that begins afresh"
    for prefix in ("", "fcos "):
        control = max(("alone", "longer"), key=lambda title: found[f"{prefix}{title}", "map"])
        gain = found[f"{prefix}pearson", "map"] - found[f"{prefix}{control}", "map"]
        assert found[f"{prefix}pearson", "map_gain"] == pytest.approx(gain)
        assert (f"{prefix}{control}", "map_gain") not in found
    assert found["fcos alone", "parameters"] != found["alone", "parameters"]
    assert found["fresh teacher", "macs"] == found["teacher", "macs"]


def test_few_boxes_are_those_of_a_share_and_the_rate_is_chosen_on_validation(small: Path, lent: list[str], monkeypatch: pytest.MonkeyPatch):
    own = {"share": 0.4, "alone": {"epochs": 2, "batch_size": 2}, "taught": {"epochs": 1, "batch_size": 1, "unlabelled": 2}}
    monkeypatch.setattr(bccd_labels, "settings", own | {"seeds": [1], "rates": [1e-5, 1e-2], "losses": ["pearson"]})
    found = {(row["method"], row["metric"]): row["mean"] for row in bccd_labels.run(small)}
    titles = {"alone", "longer", "beside", "pearson"}
    assert {method for method, metric in found if metric == "map"} == {
        "teacher",
        "alone@0.4 (1e-05)",
        "alone@0.4 (0.01)",
        *(f"{title}@0.4" for title in titles),
    }
    assert found["alone@0.4", "valid"] == max(found["alone@0.4 (1e-05)", "valid"], found["alone@0.4 (0.01)", "valid"])
    assert len({method for method, metric in found if metric == "map_gain"}) == len(titles) - 1


def test_students_of_few_boxes_take_about_as_many_steps():
    share, alone, taught = (bccd_labels.settings[name] for name in ("share", "alone", "taught"))
    known, passes = round(share * 205), -(-(205 - round(share * 205)) // taught["unlabelled"])
    assert alone["epochs"] * -(-known // alone["batch_size"]) == pytest.approx(taught["epochs"] * passes, rel=0.02)
