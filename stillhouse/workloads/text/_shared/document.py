"""A raw text, and to which split it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.splits import SPLITS, Split


@dataclass(frozen=True)
class Document:
    """A text with the `place` that it is from, its split and class if the raw data say them, and the key by which rows are one text."""

    place: str
    text: str
    split: str | None = None
    label: str | int | None = None
    key: str | int | None = None


def joined(documents: Iterable[Document], between: str) -> list[Document]:
    """Those that are alike in split and key as one text each, where the first of them stands."""
    parts: dict[tuple[str | None, str | int | None], list[Document]] = {}
    for document in documents:
        parts.setdefault((document.split, document.key), []).append(document)
    return [replace(part[0], text=between.join(document.text for document in part)) for part in parts.values()]


def split(raw: Path, documents: list[Document], test_share: float, valid_share: float, rng: torch.Generator) -> dict[Split, list[Document]]:
    """The texts of each split; whole texts of train are drawn for test, then for valid, where the raw data have none.

    Raises UserError if only some texts say their split, there is no train, or too few to hold some out.
    """
    if all(document.split is None for document in documents):
        documents = [replace(document, split="train") for document in documents]
    for document in documents:
        if document.split is None:
            raise UserError(f"{document.place} - wanted a split, train, valid or test, of each text of {raw} or of none - it has none")
    found: dict[Split, list[Document]] = {name: [each for each in documents if each.split == name] for name in SPLITS}
    if not found["train"]:
        raise UserError(f"{raw} - wanted texts of the split train - there are none")
    shares: tuple[tuple[Split, float], ...] = (("test", test_share), ("valid", valid_share))
    for name, share in shares:
        if not found[name]:
            found["train"], found[name] = _drawn(raw, found["train"], share, rng)
    return found


def known_tests(parts: Mapping[Split, Iterable[Document]]) -> dict[str, float]:
    """How many test texts are trained on as well, word for word, under the name of that metric; nothing if there are none."""
    trained = {document.text for document in parts["train"]}
    count = sum(document.text in trained for document in parts["test"])
    return {"known_test_texts": float(count)} if count else {}


def _drawn(raw: Path, documents: list[Document], share: float, rng: torch.Generator) -> tuple[list[Document], list[Document]]:
    """Those that stay and those that are held out, one at least of each, both in their order."""
    count = len(documents)
    if count < 2:
        remedy = "cut the text into several, or add files of the other splits"
        raise UserError(f"{raw} - wanted two training texts at least, to hold one out - got {count}: {remedy}")
    number = min(max(1, round(share * count)), count - 1)
    chosen = set(torch.randperm(count, generator=rng)[:number].tolist())
    stay = [document for place, document in enumerate(documents) if place not in chosen]
    return stay, [document for place, document in enumerate(documents) if place in chosen]
