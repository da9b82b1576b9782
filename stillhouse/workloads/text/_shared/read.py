"""Raw texts of several forms, read into one.

- A folder of .txt, .jsonl and .parquet files, also in folders within. Files in folders train, valid and test, or files of these names
  (`train.txt`, `train-00000-of-00002.parquet`), are of that split, however it is spelled. The class of a .txt file is the name of the
  folder that it lies in.
- One such file. A row of a table or a line of JSON is a text, with columns as the settings name them.
- JSON that asks for generated texts (`generated.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import Last, every, shortened
from stillhouse.contracts.raw import below, content
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.splits import split_of_file
from stillhouse.contracts.texts import decoded
from stillhouse.workloads.text._shared import generated
from stillhouse.workloads.text._shared.document import Document, joined
from stillhouse.workloads.text._shared.lines import lines
from stillhouse.workloads.text._shared.rows import Columns, row_document
from stillhouse.workloads.text._shared.tables import table_rows

MOST_FILES = 1_000_000
_SUFFIXES = (".jsonl", ".parquet", ".txt")


class ReadSettings(Settings):
    """Where texts lie in tables and lines of JSON, and which rows are one text."""

    text: str = "text"
    """The column of texts."""
    label: str = "label"
    """The column of classes: names, or whole numbers."""
    split: str = "split"
    """The column of splits; it may be missing."""
    splits: dict[str, Literal["train", "valid", "test", "none"]] = Field(default_factory=dict)
    """What further names of splits mean; rows of `none` are left out."""
    where: dict[str, str | int] = Field(default_factory=dict)
    """Only rows that have these values in these columns are read."""
    document: str | None = None
    """Rows of one split that are alike in this column are one text, in their order; without it each row is one."""
    join: str = "\n\n"
    """What is put between the rows of one text."""
    most_bytes: int = Field(default=2**30, gt=0)
    """The most bytes of all texts together; preparing them takes some twenty times as much memory."""


def read(raw: Path, settings: ReadSettings) -> list[Document]:
    """All texts, in the order of files' names and rows. Raises UserError, naming file and place, at what cannot be read."""
    if raw.suffix == ".json" and raw.is_file():
        return generated.read(raw)
    files = _files(raw)
    found = every(lambda path: list(_bounded(_documents(path, raw, settings), settings.most_bytes)), files)
    documents = list(_bounded((document for part in found for document in part), settings.most_bytes))
    if settings.document is not None:
        documents = joined(documents, settings.join)
    if not documents:
        raise UserError(f"{raw} - wanted a text at least - there is none")
    return documents


def _files(raw: Path) -> list[Path]:
    if not raw.is_dir():
        if raw.suffix.lower() not in _SUFFIXES or not raw.exists():
            got = f"it ends in {raw.suffix!r}" if raw.exists() else "there is nothing"
            raise UserError(f"{raw} - wanted a folder, or a file that ends in {', '.join(_SUFFIXES)} or .json - {got}")
        return [raw]
    files = sorted(path for path in below(raw, MOST_FILES) if not _is_aside(path.relative_to(raw)))
    found = [path for path in files if path.suffix.lower() in _SUFFIXES]
    if not found:
        there = shortened(", ".join(path.name for path in files if not path.is_dir()) or "none", 200)
        raise UserError(f"{raw} - wanted files that end in {', '.join(_SUFFIXES)} - there are {there}: convert them")
    if others := [path.name for path in files if path.suffix.lower() not in _SUFFIXES and not path.is_dir()]:
        named = shortened(", ".join(others[:3]), 200)
        warnings.warn(f"{raw} - left out what does not end in {', '.join(_SUFFIXES)}: {named}{', ...' * (len(others) > 3)}", stacklevel=3)
    return found


def _is_aside(path: Path) -> bool:
    return any(name.startswith(".") or name in ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini") for name in path.parts)


def _documents(path: Path, raw: Path, settings: ReadSettings) -> Iterator[Document]:
    split = settings.splits.get(_named(path, raw)) or split_of_file(_named(path, raw))
    if path.suffix.lower() == ".txt":
        yield Document(str(path), _text(path, raw), split, _folder(path, raw, split))
        return
    columns = Columns(settings.text, settings.label, settings.split, settings.document, settings.where)
    rows = lines(path, raw) if path.suffix.lower() == ".jsonl" else table_rows(path, raw, columns)
    every_row = every(lambda row: row_document(row[0], row[1], columns, split, settings.splits), rows)
    yield from (document for document in every_row if document is not None)


def _named(path: Path, raw: Path) -> str:
    """What may say the split of a file: its first folder, or its own name."""
    steps = path.relative_to(raw).parts if path != raw else ()
    return steps[0] if len(steps) > 1 else path.stem if steps else ""


def _folder(path: Path, raw: Path, split: str | None) -> str | None:
    """The class of a text: its folder, unless that says its split."""
    steps = path.relative_to(raw).parts[:-1] if path != raw else ()
    return steps[-1] if steps and not (len(steps) == 1 and split) else None


def _text(path: Path, raw: Path) -> str:
    return decoded(f"{path}", content(path, raw if raw.is_dir() else None))


def _bounded(documents: Iterator[Document], most: int) -> Iterator[Document]:
    size = 0
    for document in documents:
        size += len(document.text.encode())
        if size > most:
            remedy = "set a larger `prepare.read.most_bytes` if there is twenty times as much memory"
            raise Last(f"{document.place} - wanted {most} bytes of texts at most ({remedy}) - got more with this one")
        yield document
