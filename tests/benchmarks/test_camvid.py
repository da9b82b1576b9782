"""The benchmarks of segmentation: choices are made on some seeds, and gains are measured on others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _cells, _choices, _lent, camvid, camvid_backbones, camvid_gains, camvid_labels
from stillhouse.contracts.files import write_json
from stillhouse.training import given
from tests.workloads.pictures.classify import raws
from tests.workloads.pictures.segment.raws import coded, masks, pixels, table

SPLITS = ["train"] * 9 + ["test"] * 3
NAMES = [f"0001TP_{row}" for row in range(6)] + [f"0006R0_{row}" for row in range(6)]
FIT = {"epochs": 1, "optimizer": "adamw"}
SMALL: dict[str, Any] = {
    "prepare": {"valid_names": "0006R0", "size": [24, 32]},
    "model": {"stem": "small", "width": 4, "blocks": [1, 1], "dilated": 1, "bins": [1, 2], "head": 4},
    "data": {"batch_size": 3},
    "fit": {**FIT, "learning_rate": 1e-2},
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few pictures, on which both benchmarks are short."""
    images, numbers = pixels(12, height=24, width=32), masks(12, height=24, width=32)
    table(tmp_path / "camvid-240.parquet", list(map(coded, images)), list(map(coded, numbers)), split=SPLITS, id=NAMES)
    losses = {"student+pearson": (camvid.LOSSES["student+pearson"][0], (0.5, 2.0))}
    patches = {"settings": camvid.settings | SMALL | {"seeds": [1]}, "LOSSES": losses, "_FIT": FIT, "_RATES": (1e-2,)}
    for name, value in patches.items():
        monkeypatch.setattr(camvid, name, value)
    monkeypatch.setitem(camvid._SEARCH, "budget", {"unit": "macs", "share": 0.8})
    monkeypatch.setattr(camvid_gains, "settings", {"seeds": [2, 3]})
    monkeypatch.setattr(_choices, "RESULTS", tmp_path)
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    return tmp_path


def test_gains_are_those_of_the_chosen_weights_on_other_seeds(small: Path):
    rows = camvid.run(small)
    chosen = {row["method"]: row["mean"] for row in rows if row["metric"] == "chosen"}
    assert set(chosen) == {"student", "student+pearson"}
    write_json(small / "camvid.json", {"rows": rows})
    found = {(row["method"], row["metric"]): row for row in camvid_gains.run(small)}
    assert {method for method, _ in found} == {"teacher", *chosen}
    assert {method: found[method, "chosen"]["mean"] for method in chosen} == chosen
    assert {row["seeds"] for (_, metric), row in found.items() if metric != "chosen"} == {2}
    gain = found["student+pearson", "miou"]["mean"] - found["student", "miou"]["mean"]
    assert found["student+pearson", "miou_gain"]["mean"] == pytest.approx(gain)
    folders = {path.name.rpartition("-")[0] for path in (small / "work").glob("*pearson*-[23]-*")}
    assert folders == {f"camvid-240-student+pearson ({chosen['student+pearson']:g})-{seed}" for seed in (2, 3)}


def test_no_seed_has_a_part_in_both():
    assert not set(camvid_gains.settings["seeds"]) & set(camvid.settings["seeds"])


@pytest.fixture
def lent(small: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that were begun with a lent backbone, for a teacher twice as wide as the network that the student is cut from."""
    for name in ("camvid-240", "cifar10-jpeg"):
        (small / name).mkdir()
    shutil.copy(small / "camvid-240.parquet", small / "camvid-240")
    images = [raws.coded(picture) for picture in raws.pixels(12, height=16, width=16)]
    raws.table(small / "cifar10-jpeg/cifar10-jpeg.parquet", images, [0, 1] * 6, ["train"] * 6 + ["val"] * 2 + ["test"] * 4)
    shape = {name: SMALL["model"][name] for name in ("stem", "blocks", "dilated")}
    own = {"seeds": [2], "fresh": [2], "width": 8, "macs": 1e6, "losses": ["student+pearson"], "pictures": {"family": "resnet", **shape}}
    monkeypatch.setattr(camvid_backbones, "settings", own)
    monkeypatch.setattr(_lent, "PICTURES", {"data": {"batch_size": 3}, "fit": {**FIT, "learning_rate": 1e-2}})
    monkeypatch.setattr(_lent, "WORK", small / "work")
    parts: list[str] = []
    monkeypatch.setattr(given, "load", lambda model, file, part="": parts.append(part))
    return parts


def test_a_lent_backbone_is_that_of_the_pictures(small: Path, lent: list[str]):
    """One seed; the student is of one size whatever its teacher."""
    write_json(small / "camvid.json", {"rows": camvid.run(small)})
    found = {(row["method"], row["metric"]): row["mean"] for row in camvid_backbones.run(small)}
    assert lent == ["backbone"], "of one teacher, and not of the one that begins afresh"
    assert found["teacher", "macs"] == found["fresh teacher", "macs"] > 1e6 > found["alone", "macs"] > 0
    assert ("pearson", "miou_gain") in found
    assert len({found[method, "parameters"] for method in ("alone", "longer", "pearson")}) == 1


def test_rate_and_weights_of_few_masks_are_those_that_are_best_on_validation(small: Path, lent: list[str], monkeypatch: pytest.MonkeyPatch):
    own: dict[str, Any] = {"share": 0.5, "alone": {"epochs": 2, "batch_size": 3}, "taught": {"epochs": 1, "batch_size": 3, "unlabelled": 2}}
    own |= {"seeds": [2], "rates": [1e-4, 1e-2], "weights": {"student+pearson": [0.5, 2.0]}, "better": "student+pearson"}
    monkeypatch.setattr(camvid_labels, "settings", own)
    rows = camvid_labels.run(small)
    valid = {row["method"]: row["mean"] for row in rows if row["metric"] == "valid"}
    assert set(valid) == {"teacher", *(f"{name}@0.5" for name in ("alone", "longer", "beside", "pearson", "better"))} | {
        *(f"alone@0.5 ({rate})" for rate in ("0.0001", "0.01")),
        *(f"pearson@0.5 ({weight})" for weight in ("0.5", "2")),
    }
    for title in ("alone", "pearson"):
        assert valid[f"{title}@0.5"] == max(value for name, value in valid.items() if name.startswith(f"{title}@0.5 ("))
    gains = {row["method"] for row in rows if row["metric"] == "miou_gain"}
    assert gains == {f"{name}@0.5" for name in ("alone", "longer", "beside", "pearson", "better")} - {_control(rows)}
    assert lent == ["backbone"]


def _control(rows: list[dict[str, Any]]) -> str:
    means = {row["method"]: row["mean"] for row in rows if row["metric"] == "miou"}
    return max((f"{name}@0.5" for name in camvid_labels.CONTROLS), key=means.__getitem__)
