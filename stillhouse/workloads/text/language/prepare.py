"""Raw texts into a stream of tokens for each split, with what each token stands for, and the tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text._shared.document import Document, known_tests, split
from stillhouse.workloads.text._shared.read import ReadSettings, read
from stillhouse.workloads.text._shared.tokenizer import END, TokenizerSettings
from stillhouse.workloads.text.language.cover import KINDS, cover


class PrepareSettings(Settings):
    """Which texts there are, how they become tokens, and what is held out where the raw data do not say: whole texts."""

    read: ReadSettings = ReadSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    valid_share: float = Field(0.1, gt=0, lt=1)
    """The share of the training texts, drawn by the seed, where the raw data have no validation split."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """The share of the training texts taken before that, where the raw data have no test split."""


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with train, valid and test, tokenizer.json and facts.json; returns how much text there is.

    Test texts that are trained on as well are counted, if there are any.

    Each text begins with the token `end`, which stands for no byte. Raises UserError if the tokenizer loses something of a text.
    """
    parts = split(raw, read(raw, settings.read), settings.test_share, settings.valid_share, rng)
    known = tokenizer.prepared(settings.tokenizer, (each.text for each in parts["train"]), (END,), prepared)
    end = tokenizer.number(known, settings.tokenizer.end, str(raw), "prepare.tokenizer.end")
    facts: dict[str, Any] = {"vocabulary": tokenizer.size(known), "end": end, "tokenizer": tokenizer.digest(prepared), "splits": {}}
    for name, documents in parts.items():
        tokens, covered = _stream(known, end, documents)
        if not covered[0].any():
            raise UserError(f"{raw} - wanted some text in the split {name} - its texts are empty")
        write_parquet(prepared / f"{name}.parquet", {"token": tokens} | dict(zip(KINDS, covered, strict=True)))
        counts = {kind: int(row.sum()) for kind, row in zip(KINDS, covered, strict=True)}
        facts["splits"][name] = {"texts": len(documents), "tokens": len(tokens) - len(documents)} | counts
    write_json(prepared / "facts.json", facts)
    return {"vocabulary": float(facts["vocabulary"]), **known_tests(parts)} | {
        f"{name}_{kind}": float(count) for name, counts in facts["splits"].items() for kind, count in counts.items()
    }


def _stream(known: Any, end: int, documents: list[Document]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens,) and (3, tokens) of all texts one after the other."""
    pieces = list(_pieces(known, end, documents))
    return np.concatenate([tokens for tokens, _ in pieces]), np.concatenate([covered for _, covered in pieces], 1)


def _pieces(known: Any, end: int, documents: list[Document]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for document in documents:
        encoding = known.encode(document.text, add_special_tokens=False)
        ids = encoding.ids
        if known.decode(ids, skip_special_tokens=False) != document.text:
            raise UserError(
                f"{document.place} - wanted a tokenizer from whose tokens a text can be read again - it loses something of this"
            )
        covered = cover(document.text, [last for _, last in encoding.offsets]) if ids else np.zeros((3, 0), dtype=np.int64)
        yield np.array([end, *ids], dtype=np.int32), np.concatenate([np.zeros((3, 1), dtype=np.int64), covered], 1).astype(np.int32)
