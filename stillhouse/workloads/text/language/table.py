"""Prompts as a table: to each row, the text with which a model goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.training.files import read_parquet
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text.language.generate import Prompt

TOKENS, MOST = 16, 4096
"""How many tokens are wanted where a row does not say, and how many it may say."""
_SHOWN = 8


def keep(prepared: Path, context: Path) -> None:
    """The tokenizer, the token that begins a text, and a few words of the training text as an example."""
    shutil.copy(prepared / tokenizer.FILE, context)
    known, facts = tokenizer.opened(prepared / tokenizer.FILE), read_json(prepared / "facts.json")
    first = torch.as_tensor(read_parquet(prepared / "train.parquet")["token"])[1 : 1 + _SHOWN]
    example = known.decode(first.tolist()).replace("\ufffd", "")
    write_json(context / "facts.json", {"end": facts["end"], "example": example})


def example(context: Path) -> pa.Table:
    """The first words of the training text."""
    schema = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("tokens", pa.int64())])
    return pa.table({"text": [read_json(context / "facts.json")["example"]], "tokens": [TOKENS]}, schema=schema)


def ask(context: Path, table: pa.Table) -> Question[Prompt]:
    """Prompts one by one, and the likeliest token again and again."""
    known = tokenizer.opened(context / tokenizer.FILE)
    end = int(read_json(context / "facts.json")["end"])

    def columns(output: Output, prompt: Prompt) -> Mapping[str, Any]:
        return {"continuation": [known.decode(output.prediction[0].argmax(-1).tolist(), skip_special_tokens=True)]}

    return Question(_prompts(known, end, table), columns)


def _prompts(known: Any, end: int, table: pa.Table) -> Iterator[Prompt]:
    wanted = table.column("tokens").to_pylist() if "tokens" in table.column_names else [TOKENS] * table.num_rows
    for row, (text, count) in enumerate(zip(table.column("text").to_pylist(), wanted, strict=True)):
        if not 0 < count <= MOST:
            raise UserError(f"row {row} - wanted 1 to {MOST} as tokens - got {count}")
        ids = known.encode(text, add_special_tokens=False).ids
        yield Prompt(torch.tensor([[end, *ids]]), count)


TABLE: Table[Any] = Table("language", keep, example, ask)
