"""Raw texts with classes into tables of tokens for each split, and the tokenizer."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.faults import every
from stillhouse.contracts.files import write_json
from stillhouse.contracts.names import require_distinct
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text._shared.document import Document, Split, known_tests, split
from stillhouse.workloads.text._shared.read import ReadSettings, read
from stillhouse.workloads.text._shared.tokenizer import END, PAD, TokenizerSettings


class PrepareSettings(Settings):
    """Which texts there are, how they become tokens, and what is held out where the raw data do not say."""

    read: ReadSettings = ReadSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    pad: str = PAD
    """The token that fills up short texts of a batch; models do not see it."""
    length: int = Field(128, gt=1)
    """The most tokens of a text; a longer one loses its end."""
    valid_share: float = Field(0.1, gt=0, lt=1)
    """The share of the training texts, drawn by the seed, where the raw data have no validation split."""
    test_share: float = Field(0.2, gt=0, lt=1)
    """The share of the training texts taken before that, where the raw data have no test split."""


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared` with train, valid and test, tokenizer.json and facts.json; returns the numbers of texts and classes.

    Test texts that are trained on as well are counted, if there are any.

    Of each split there is a table of texts (how many tokens, and the class) and one of their tokens, one text after the other.
    """
    documents = every(_labelled, read(raw, settings.read))
    parts = split(raw, documents, settings.test_share, settings.valid_share, rng)
    names = _names(raw, parts)
    known = tokenizer.prepared(settings.tokenizer, (each.text for each in parts["train"]), (END, PAD), prepared)
    facts: dict[str, Any] = {
        "vocabulary": tokenizer.size(known),
        "pad": tokenizer.number(known, settings.pad, str(raw), "prepare.pad"),
        "length": settings.length,
        "names": [str(name) for name in names],
        "tokenizer": tokenizer.digest(prepared),
    }
    longer = 0
    for name, part in parts.items():
        longer += _write(prepared, name, known, part, settings.length, {label: place for place, label in enumerate(names)})
    write_json(prepared / "facts.json", facts)
    counts = {f"{name}_texts": float(len(part)) for name, part in parts.items()} | known_tests(parts)
    return counts | {"classes": float(len(names)), "vocabulary": float(facts["vocabulary"]), "shortened_texts": float(longer)}


def _labelled(document: Document) -> Document:
    if document.label is None:
        raise UserError(f"{document.place} - wanted the class of each text (`prepare.read.label` names its column) - there is none")
    return document


def _names(raw: Path, parts: dict[Split, list[Document]]) -> list[str | int]:
    """The classes in their order. Raises UserError unless all are of one kind, two or more, and each is among the training texts."""
    seen = {document.label for part in parts.values() for document in part if document.label is not None}
    if len({type(label) for label in seen}) > 1 or len(seen) < 2:
        raise UserError(f"{raw} - wanted two classes at least, all names or all whole numbers - got {shortened(str(seen), 200)}")
    if missing := seen - {document.label for document in parts["train"]}:
        raise UserError(f"{raw} - wanted training texts of each class - there is none of {shortened(str(missing), 200)}")
    require_distinct(seen, f"{raw}")
    if -1 in seen:
        warnings.warn(f"{raw}: -1 is taken for a class; where it means that there is none, leave those texts out", stacklevel=2)
    return sorted(seen)


def _write(prepared: Path, name: Split, known: Any, documents: list[Document], length: int, numbers: dict[str | int, int]) -> int:
    """Returns how many texts have lost their end."""
    known.enable_truncation(length)
    encodings = [known.encode(document.text) for document in documents]
    ids = [encoding.ids for encoding in encodings]
    if empty := next((document for document, found in zip(documents, ids, strict=True) if not found), None):
        raise UserError(f"{empty.place} - wanted a text of a token at least - it has none")
    label = np.array([numbers[document.label] for document in documents if document.label is not None], dtype=np.int32)
    write_parquet(prepared / f"{name}.parquet", {"tokens": np.array([len(found) for found in ids], dtype=np.int32), "label": label})
    write_parquet(prepared / f"{name}_tokens.parquet", {"token": np.concatenate([np.array(found, dtype=np.int32) for found in ids])})
    return sum(bool(encoding.overflowing) for encoding in encodings)
