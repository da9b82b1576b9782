"""The benchmark of few labels: what its students see, that they train for as many steps, and the rows that come of it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import _cells, labels
from stillhouse.training.files import read_parquet

RATES, WEIGHTS = dict.fromkeys(("0.01", "0.1", "1.0"), 1e-2), dict.fromkeys(labels.settings["losses"], 1.0)


def source(title: str) -> labels.Source:
    return labels.Source(title, Path)


@pytest.mark.parametrize("title", labels.settings["sets"])
def test_students_with_and_without_a_teacher_take_about_as_many_steps(title: str) -> None:
    block = labels.settings["sets"][title]
    for share, passes in block["shares"].items():
        known = round(float(share) * block["draw"]["train"])
        alone = passes["labels"] * -(-known // (32 if share != "1.0" else block["data"]["batch_size"]))
        rest = block["draw"]["train"] - known
        taught = passes["all"] * -(-rest // 64) if rest else alone
        assert 0.9 < taught / alone < 1.1, share


def test_only_who_has_a_teacher_or_stands_for_it_sees_pictures_without_labels() -> None:
    methods = dict(labels._methods(source("digits"), RATES, WEIGHTS))
    for title, method in methods.items():
        if method.block:
            sees = method.block["distill"]["data"].get("unlabelled", 0) > 0
            assert sees == (title.partition("@")[0] not in ("alone", "longer", "smoothing")), title
            assert bool(method.block["distill"]["losses"]) == (title.partition("@")[0] not in labels.CONTROLS[:4]), title
    few = methods["same-logits@0.01"].entry.teach["data"]["train_limit"]
    assert (few, "train_limit" in methods["logits@0.01"].entry.teach["data"]) == (0.01, False)


def test_each_seed_deals_the_digits_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "WORK", tmp_path)
    first, second = (read_parquet(labels.dealt({"train": 10, "val": 4, "test": 6}, seed)) for seed in (1, 2))
    assert list(first["split"]) == ["train"] * 10 + ["val"] * 4 + ["test"] * 6
    assert len(set(first["image"])) == 20
    assert first["image"] != second["image"]


def test_gains_are_over_the_best_control_of_the_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = deepcopy(labels.settings)
    small |= {
        "choosing": [0],
        "seeds": [1],
        "names": "digits",
        "rates": [1e-2],
        "weights": [1.0, 4.0],
        "losses": {"logits": {}},
        "same": [],
    }
    small["teacher"] |= {"width": 4, "blocks": [1, 1]}
    digits = small["sets"]["digits"]
    digits |= {"draw": {"train": 200, "val": 30, "test": 60}, "shares": {"0.1": {"labels": 1, "all": 1}}}
    digits["teach"]["epochs"] = 1
    monkeypatch.setattr(labels, "settings", small)
    for module in (labels, _cells):
        monkeypatch.setattr(module, "WORK", tmp_path)
    rows = {(row["method"], row["metric"]): row for row in labels.run(tmp_path)}
    controls = {title: rows[f"{title}@0.1", "accuracy"]["mean"] for title in labels.CONTROLS}
    best = max(controls, key=controls.__getitem__)
    gain = rows["logits@0.1", "accuracy_gain"]
    assert gain["mean"] == pytest.approx(rows["logits@0.1", "accuracy"]["mean"] - controls[best])
    assert ("logits@0.1", "accuracy_gain_95") not in rows
    assert (f"{best}@0.1", "accuracy_gain") not in rows
    assert rows["logits", "chosen"]["mean"] in (1.0, 4.0)
