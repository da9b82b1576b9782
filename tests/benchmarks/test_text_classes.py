"""The benchmark of classes of texts on a few questions: budgets, what each student is told, and what it is compared with."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from benchmarks import _cells, text_classes
from benchmarks._cells import Cell
from benchmarks._text_networks import Convolutions
from benchmarks._words import words
from stillhouse.training.files import write_parquet

TEACHER = text_classes.settings["teachers"]["convolutions, 128, rate 0.005"]


def source(title: str) -> text_classes.Source:
    return text_classes.Source(title, Path("table"), TEACHER)


def questions(folder: Path) -> Path:
    asked = ["Who", "When"] * 20
    table = {"text": [f"{word} is it {place}?" for place, word in enumerate(asked)], "label_name": asked, "set": ["trec"] * 40}
    path = folder / "text-classes" / "text-classes.parquet"
    write_parquet(path, table | {"split": ["train"] * 24 + ["valid"] * 8 + ["test"] * 8})
    return path


def test_a_text_is_classified_alike_alone_and_beside_a_longer_one() -> None:
    torch.manual_seed(0)
    network = Convolutions(vocabulary=20, classes=3, width=8, channels=8, dropout=0.5).eval()
    token, mask = torch.randint(20, (2, 9)), torch.ones(2, 9, dtype=torch.int64)
    mask[1, 4:] = 0
    torch.testing.assert_close(network(token, mask)[1:], network(token[1:, :4], mask[1:, :4]))


@pytest.mark.parametrize(("title", "texts"), [("trec", 4934), ("banking77", 9011)])
def test_students_with_and_without_a_teacher_take_about_as_many_steps(title: str, texts: int) -> None:
    methods = dict(text_classes._methods(source(title), 1, dict.fromkeys(source(title).shares, 1e-3), {"logits": 1.0}))
    epochs = {name: method.block["distill"]["fit"]["epochs"] for name, method in methods.items() if method.block}
    assert epochs.get("logits@1.0") == epochs.get("alone@1.0")
    steps = epochs["alone@0.1"] * -(-texts // 10 // 32), epochs["logits@0.1"] * -(-9 * texts // 10 // 64)
    assert 0.9 < steps[1] / steps[0] < 1.1
    assert epochs["longer@0.1"] >= 2 * epochs["alone@0.1"]


def test_all_students_of_a_share_are_told_the_same_classes_and_only_taught_ones_see_other_texts() -> None:
    methods = dict(text_classes._methods(source("trec"), 3, {"0.1": 1e-3}, {"logits": 1.0}))
    told = {name: method.block["distill"]["data"] for name, method in methods.items() if method.block}
    assert {(data["train_limit"], data["labels_seed"]) for data in told.values()} == {(0.1, 3)}
    assert {name for name, data in told.items() if "unlabelled" in data} == {"logits@0.1", "same-logits@0.1"}
    assert "train_limit" not in methods["logits@0.1"].entry.teach["data"]
    assert methods["same-logits@0.1"].entry.teach["data"]["train_limit"] == 0.1
    assert text_classes._counted(source("trec"), "0.1", 3).settings["data"] == {"train_limit": 0.1, "labels_seed": 3}


def test_the_regression_knows_the_labels_of_a_share_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, seen = questions(tmp_path), []
    monkeypatch.setattr(
        "benchmarks._words.labelled", lambda number, limit, seed: seen.append((len(number), limit, seed)) or torch.arange(4)
    )
    found = words(table, Cell("trec", "words", 1, {"data": {"train_limit": 0.1, "labels_seed": 3}, "inverses": [1.0, 10.0]}))
    assert seen == [(24, 0.1, 3)]
    assert found["trec"] == {"valid": 1.0, "accuracy": 1.0}


def test_gains_are_over_the_best_control_and_over_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"seeds": {"trec": [1]}, "classes": {"trec": 2}, "prepare": {"tokenizer": {"vocabulary": 300}}, "untried": {"trec": []}}
    small |= {"shares": {"trec": {"0.5": {"labels": 1, "longer": 2, "all": 1}}}, "weights_at": "0.5", "losses": {"logits": {}}}
    teacher = deepcopy(TEACHER)
    teacher["model"]["arguments"] |= {"width": 8, "channels": 8}
    teacher["fit"]["epochs"] = 1
    small |= {"teachers": {"small": teacher}, "rates": [1e-2], "weights": [1.0]}
    monkeypatch.setattr(text_classes, "settings", text_classes.settings | small)
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    questions(tmp_path)
    rows = {(row["method"], row["metric"]): row["mean"] for row in text_classes.run(tmp_path)}
    assert rows["logits@0.5", "macs_share"] == rows["alone@0.5", "macs_share"] <= 0.25
    best = max(text_classes.CONTROLS, key=lambda name: rows[f"{name}@0.5", "accuracy"])
    for method in ("logits@0.5", "same@0.5", "same-logits@0.5"):
        for metric, over in (("accuracy_gain", f"{best}@0.5"), ("accuracy_over_words", "words@0.5")):
            assert rows[method, metric] == pytest.approx(rows[method, "accuracy"] - rows[over, "accuracy"])
            assert (method, f"{metric}_95") not in rows
    assert rows["teacher: small", "tried"] > 0
