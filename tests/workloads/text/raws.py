"""Small raw texts, and data prepared of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from stillhouse.contracts.files import read_json
from stillhouse.workloads.text import language, text_classes

TEXTS = [
    "The cat sat on the mat.\nThe dog did not.\n",
    "Größe und Maß: 3 € \N{SNOWMAN} \N{GRINNING FACE}\n\n  two  words ",
    "",
    "a<|endoftext|>b",
]


def folder(place: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return place


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def split_folder(place: Path, **splits: list[str]) -> Path:
    """Texts of the splits that are named, the others being TEXTS."""
    texts = {"train": TEXTS, "valid": TEXTS[:2], "test": TEXTS[:1]} | splits
    return folder(place, {f"{name}/{number}.txt": text for name, part in texts.items() for number, text in enumerate(part)})


def prepared(raw: Path, place: Path, part: Any = language, **settings: Any) -> dict[str, Any]:
    """What `prepare` says of the data in its facts."""
    place.mkdir()
    chosen = {"tokenizer": {"vocabulary": 300}} | settings
    part.WORKLOAD.prepare(part.WORKLOAD.prepare_settings.model_validate(chosen), raw, place, torch.Generator().manual_seed(0))
    facts: dict[str, Any] = read_json(place / "facts.json")
    return facts


QUESTIONS = [{"text": f"{word} is it {number}?", "kind": word} for number in range(8) for word in ("Who", "Where", "When")]


def questions(place: Path) -> Path:
    """The folder of prepared questions with three classes."""
    raw = folder(place / "raw", {"questions.jsonl": jsonl(QUESTIONS)})
    prepared(raw, place / "prepared", text_classes, read={"label": "kind"})
    return place / "prepared"
