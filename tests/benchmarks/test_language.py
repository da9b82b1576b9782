"""The benchmark of language on a few sentences: budgets without the embedding, tokens alike, paired differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks import _cells, language
from tests.workloads.text import models

ONES, THREES = ("red", "big"), ("sea", "hill")
SENTENCES = [f"A {one} {two} came to the {three}, and the {three} was {one}." for one in ONES for two in "xyz" for three in THREES]


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = ["train"] * 8 + ["valid_within", "valid", "test", "test"]
    books = {"split": splits, "book": ["a"] * len(splits), "text": SENTENCES}
    wiki = {"split": ["train"] * 4 + ["valid"] * 2, "text": SENTENCES[:6]}
    for name, columns in (("text-books/text-books", books), ("text-wikitext2/wikitext2", wiki)):
        (tmp_path / name).parent.mkdir()
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    config = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 4}
    own: dict[str, Any] = {
        "seeds": 1,
        "rounds": 1,
        "prepare": language.settings["prepare"] | {"tokenizer": {"vocabulary": 270}},
        "model": {"family": "transformers", "config": language._LLAMA | config},
        "data": {"context": 8, "stride": 8, "batch_size": 4, "evaluation_batch_size": 4},
        "teacher_windows": 8,
        "teacher_epochs": 1,
        "windows": 4,
    }
    monkeypatch.setattr(language, "settings", language.settings | own | {"removed": [0.5], "methods": [language.OURS, "uniform"]})
    monkeypatch.setattr(_cells, "WORK", tmp_path / "work")
    language._wikitext.cache_clear()


def test_every_method_is_measured_inside_its_budget(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    rows = {(row["set"], row["method"], row["metric"]): row for row in language.run(tmp_path)}
    torch.set_num_threads(threads)
    whole, embedding = language.parameters(language.settings["model"]["config"], 270)
    assert rows["books", "teacher", "parameters"]["mean"] == whole
    for method in (language.OURS, "uniform"):
        assert rows["50 % removed", method, "parameters"]["mean"] <= whole - 0.5 * (whole - embedding)
        assert {rows["50 % removed", method, name]["seeds"] for name in ("bits_per_byte", "wikitext_bits_per_byte", "speed")} == {1}
    ahead = [rows["50 % removed", method, "bits_per_byte"]["mean"] for method in ("uniform", language.OURS)]
    assert rows["50 % removed", "uniform", "behind"]["mean"] == pytest.approx(ahead[0] - ahead[1])


def test_the_count_of_parameters_is_that_of_the_network() -> None:
    config = models.LANGUAGE["llama-tied"]
    found = sum(weight.numel() for weight in models.build(config).parameters())
    assert language.parameters(config, 60) == (found, 60 * 32)


def test_all_methods_train_on_the_same_number_of_windows() -> None:
    for block in language.students(0.5).values():
        searched = block["search"].get("settings", {}).get("fit", {}).get("epochs", 0)
        assert searched + block["distill"]["fit"]["epochs"] == language.settings["search_epochs"] + language.settings["student_epochs"]
        assert block["search"]["data"] == block["distill"]["data"] == {"train_limit": 4}
