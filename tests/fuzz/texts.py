"""Readers of texts: as files, lines and tables, for language models and with classes; what is read is prepared too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stillhouse.workloads.text import language, text_classes
from tests.fuzz.reader import Reader, table


def _prepared(part: Any, **settings: Any) -> Callable[[Path], object]:
    chosen = {"tokenizer": {"vocabulary": 300}, "read": {"most_bytes": 2**24}} | settings
    checked = part.WORKLOAD.prepare_settings.model_validate(chosen)

    def read(raw: Path) -> object:
        folder = raw.parent / "prepared"
        folder.mkdir()
        return part.WORKLOAD.prepare(checked, raw, folder, torch.Generator().manual_seed(0))

    return read


_SPLITS = ("train", "train", "train", "train", "valid", "test")
_ROWS: list[dict[str, Any]] = [
    {"text": f"Größe {number}\nand \N{SNOWMAN} {number}", "label": number % 2, "split": split, "book": "B"}
    for number, split in enumerate(_SPLITS)
]
_LINES = "".join(json.dumps(row, ensure_ascii=number % 2 == 0) + "\n" for number, row in enumerate(_ROWS)).encode()
_FILES = {f"t/{split}/{'ab'[number % 2]}/{number}.txt": f"Text {number}, größer.\n".encode() for number, split in enumerate(_SPLITS)}
_GENERATED = json.dumps({"generator": "questions", "texts": 12, "sentences": 1, "seed": 0}).encode()
_BOOKS = {"read": {"most_bytes": 2**24, "document": "book", "splits": {"dev": "none"}}}

READERS: dict[str, Reader] = {
    "language-files": Reader(_FILES, _prepared(language)),
    "language-lines": Reader({"t.jsonl": _LINES}, _prepared(language, **_BOOKS)),
    "language-table": Reader({"t.parquet": table(_ROWS)}, _prepared(language, **_BOOKS)),
    "language-generated": Reader({"t.json": _GENERATED}, _prepared(language)),
    "text-classes-files": Reader(_FILES, _prepared(text_classes)),
    "text-classes-lines": Reader({"t.jsonl": _LINES}, _prepared(text_classes)),
    "text-classes-table": Reader({"t/a.parquet": table(_ROWS), "t/b.parquet": table(_ROWS)}, _prepared(text_classes)),
}
