"""The benchmark of classes of texts on a few questions: every student is measured inside its budget."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import _cells, text_classes
from stillhouse.training.files import write_parquet


def test_every_student_is_measured_inside_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["Who", "When"] * 20
    table = {"text": [f"{word} is it {place}?" for place, word in enumerate(words)], "label_name": words, "set": ["trec"] * 40}
    write_parquet(tmp_path / "text-classes/text-classes.parquet", table | {"split": ["train"] * 24 + ["valid"] * 8 + ["test"] * 8})
    settings = deepcopy(text_classes.settings) | {"seeds": [1]}
    del settings["prepare"]["banking77"]
    settings["prepare"]["trec"]["tokenizer"]["vocabulary"] = 300
    settings["teach"]["model"]["config"] |= {"hidden_size": 16, "intermediate_size": 24}
    settings["teach"]["fit"]["epochs"] = 1
    settings["students"] = {name: block for name, block in settings["students"].items() if name.endswith("@0.25")}
    for block in settings["students"].values():
        block["distill"]["fit"]["epochs"] = 1
    monkeypatch.setattr(text_classes, "settings", settings)
    monkeypatch.setattr(text_classes, "_SHARES", (0.25,))
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    rows = {(row["method"], row["metric"]): row["mean"] for row in text_classes.run(tmp_path)}
    names = ("alone", "longer", "logits", "dist")
    names = ("alone", "longer", "logits", "dist")
    assert {method for method, _ in rows} == {"teacher", *(f"{name}@0.25" for name in names)}
    assert rows["logits@0.25", "macs_share"] == rows["alone@0.25", "macs_share"] <= 0.25
    best = max(text_classes.CONTROLS, key=lambda name: rows[f"{name}@0.25", "accuracy"])
    for name in {*names} - {best}:
        ahead = rows[f"{name}@0.25", "accuracy"] - rows[f"{best}@0.25", "accuracy"]
        assert rows[f"{name}@0.25", "accuracy_gain"] == pytest.approx(ahead)
    assert (f"{best}@0.25", "accuracy_gain") not in rows
