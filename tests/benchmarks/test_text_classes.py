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
    for block in settings["students"].values():
        block["distill"]["fit"]["epochs"] = 1
    monkeypatch.setattr(text_classes, "settings", settings)
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    rows = {(row["method"], row["metric"]): row["mean"] for row in text_classes.run(tmp_path)}
    assert {method for method, _ in rows} == {"teacher", "alone@0.5", "logits@0.5", "alone@0.25", "logits@0.25"}
    for share in (0.5, 0.25):
        assert rows[f"logits@{share}", "macs_share"] == rows[f"alone@{share}", "macs_share"] <= share
