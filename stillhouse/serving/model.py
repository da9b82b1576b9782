"""A model's folder, opened without trust: weights, JSON and parquet are read, and nothing in it is ever run or unpickled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import SafetensorError

from stillhouse import registry
from stillhouse.contracts import sums
from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.parts import Table, Workload
from stillhouse.contracts.raw import below, regular
from stillhouse.record import own
from stillhouse.training import checkpoint, facts, machine, table

_FILES = ("model.json", "model.safetensors")
_SUFFIXES = (".json", ".parquet")
"""What a context may hold: neither form can carry code."""
_BROKEN = (
    *(SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError),
    *(AssertionError, pa.ArrowException),
)
"""What numbers, names and tables that a stage would not have written make the code raise that trusts them."""


class Model:
    """A network with its workload, asked by tables."""

    def __init__(self, folder: Path) -> None:
        """Opens a teacher's or student's folder. Raises UserError if it is none, or holds any other file than a model has."""
        check(folder)
        self.folder, self.context = folder, folder / table.CONTEXT
        with _told(folder, "the name of a workload that reads tables"):
            self.workload: Workload[Any] = registry.workload(table.workload_name(folder))
        if self.workload.table is None:
            raise UserError(f"{folder} - wanted a workload that reads tables - got one that reads none")
        self.table: Table[Any] = self.workload.table
        with _told(folder, "weights as safetensors, and the settings that fit them"):
            self._network = checkpoint.read_model(self.workload, folder).to(machine.device())

    def example(self) -> pa.Table:
        """Some rows that may be asked; a nullable column of the schema may be missing from a table."""
        with _told(self.folder, f"{table.CONTEXT} as a stage writes it"):
            return self.table.example(self.context)

    def names(self) -> list[str]:
        """The columns whose cells are names, that is text: no form of a file may read `007` as a number there."""
        return [field.name for field in self.example().schema if pa.types.is_string(field.type)]

    def predict(self, rows: pa.Table) -> Iterator[pa.Table]:
        """Tables of one schema, whose rows together are the predictions; UserError at what is wrong with `rows`."""
        with _told(None, f"rows that fit {self.context}, which a stage has written"):
            yield from table.predictions(self.table, self.workload, self._network, self.context, rows)


@contextmanager
def _told(folder: Path | None, wanted: str) -> Iterator[None]:
    """What a folder that was made by others makes go wrong, as a UserError that names the folder, if there is one, and what was wanted."""
    place = f"{folder} - " if folder else ""
    try:
        with own.telling():
            yield
    except UserError as error:
        if not folder or str(folder) in str(error) or isinstance(error, own.OwnError):
            raise
        raise UserError(f"{place}wanted {wanted} - {error}") from None
    except _BROKEN as error:
        raise UserError(f"{place}wanted {wanted} - {shortened(' '.join(str(error).split()) or type(error).__name__, 300)}") from error


def check(folder: Path) -> None:
    """Raises UserError unless the folder holds the files of a model as written and nothing more: a pickle runs code when it is loaded."""
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        got = f"there is no {missing[0]}" if folder.is_dir() else "there is no such folder"
        raise UserError(f"{folder} - wanted a model's folder, with {' and '.join(_FILES)} - {got}")
    for path in sorted(below(folder, sums.MOST)):
        regular(path, folder)
        if path.is_file() and not _is_safe(path.relative_to(folder)):
            wanted = f"wanted only {', '.join((*_FILES, facts.FILE))} and {table.CONTEXT} of {' and '.join(_SUFFIXES)}"
            raise UserError(f"{path} - {wanted}, because other files may run code when they are loaded - refused")
    sums.check(folder)


def _is_safe(path: Path) -> bool:
    return str(path) in (*_FILES, facts.FILE, sums.NAME) or (path.parts[0] == table.CONTEXT and path.suffix in _SUFFIXES)
