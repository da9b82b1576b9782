"""What is fuzzed: a valid input of one or several files, and the call that reads it."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet


@dataclass(frozen=True)
class Link:
    """A symbolic link to `target`, in place of a file."""

    target: str


class Pipe:
    """A named pipe in place of a file: whoever opens it waits."""


class Folder:
    """An empty folder in place of a file."""


Entry = bytes | Link | Pipe | Folder
Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Reader:
    """A form of input: its files by their path, and the call that reads it.

    The call is handed the path of the first file or, where that lies in a folder (`graph/train.txt`), of this folder (`graph`);
    a refusal must name it. Files are mutated by the ending of their name; `mutations` are further ones, of the reader's own.
    """

    files: Mapping[str, bytes]
    read: Callable[[Path], object]
    mutations: tuple[Mutation, ...] = ()
    steady: tuple[str, ...] = ()
    """Files that stay as they are."""

    @property
    def name(self) -> str:
        """What the call is handed, within the folder of the input."""
        return next(iter(self.files)).split("/")[0]


def write(entries: Mapping[str, Entry], folder: Path) -> None:
    """Puts an input into an empty folder."""
    for name, entry in entries.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, bytes):
            path.write_bytes(entry)
        elif isinstance(entry, Link):
            path.symlink_to(entry.target)
        elif isinstance(entry, Pipe):
            os.mkfifo(path)
        else:
            path.mkdir(exist_ok=True)


def table(rows: list[dict[str, object]]) -> bytes:
    """A Parquet table of rows."""
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()
