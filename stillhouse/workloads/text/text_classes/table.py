"""Texts as a table: to each row, a text, its class and the probabilities of all classes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text.text_classes.sample import Batch

ROWS = 64
"""Texts asked at once."""


def keep(prepared: Path, context: Path) -> None:
    """The tokenizer, the most tokens of a text, and the names of the classes."""
    for name in (tokenizer.FILE, "facts.json"):
        shutil.copy(prepared / name, context)


def example(context: Path) -> pa.Table:
    """A short text."""
    return pa.table({"text": ["Where is it?"]}, schema=pa.schema([pa.field("text", pa.string(), nullable=False)]))


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Texts as training ones are read."""
    facts = read_json(context / "facts.json")
    names: list[str] = facts["names"]

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        probabilities = output.prediction.double().softmax(-1)
        best, place = probabilities.max(-1)
        return {"class": [names[index] for index in place.tolist()], "probability": best, "probabilities": probabilities}

    return Question(_batches(context, facts, table.column("text")), columns)


def _batches(context: Path, facts: Mapping[str, Any], texts: pa.ChunkedArray) -> Iterator[Batch]:
    known = tokenizer.opened(context / tokenizer.FILE)
    known.enable_truncation(facts["length"])
    for first in range(0, len(texts), ROWS):
        rows = [known.encode(text).ids for text in texts.slice(first, ROWS).to_pylist()]
        if (empty := next((place for place, row in enumerate(rows) if not row), None)) is not None:
            raise UserError(f"row {first + empty} - wanted a text of a token at least - it has none")
        longest = max(map(len, rows))
        token = torch.tensor([row + [facts["pad"]] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        yield Batch(token, mask, torch.zeros(len(rows), dtype=torch.int64))


TABLE = Table("text_classes", keep, example, ask)
