"""Rows of bytes of a Parquet table that need not fit in memory: its row groups are read when rows of them are asked for."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from stillhouse.contracts.files import replace
from stillhouse.training.files import table

GROUP = 2**21
"""The bytes of a row group (2 MiB), one row at least: small beside a limit, so that many can be mixed; long beside what a read costs."""
LANES = 4
"""In how many runs of row groups a shuffled pass is gone through side by side: batch after batch comes from the next one, so that as many
processes share them, and none reads what another one does."""


class Arrays(Protocol):
    """Arrays of one shape, (rows, *shape), uint8, in memory or wherever slices of them are read from."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


Columns = Mapping[str, Tensor]
"""Rows of bytes by name, (rows, *shape), uint8."""


def write_rows(path: Path, content: Mapping[str, Arrays], columns: Mapping[str, np.ndarray | list[str]]) -> None:
    """Writes arrays of bytes (rows, *shape), uint8, a value each row, beside other columns, in row groups of `GROUP` bytes."""
    count = len(next(iter(content.values())))
    step = max(1, GROUP // sum(max(1, math.prod(array.shape[1:])) for array in content.values()))

    def write(temporary: Path) -> None:
        whole = table(columns)
        fields = [pa.field(name, pa.binary()) for name in content]
        with parquet.ParquetWriter(temporary, pa.schema([*fields, *whole.schema]), compression="zstd") as writer:
            for first in range(0, count, step):
                values = [_binary(array[first : first + step]) for array in content.values()]
                writer.write_table(pa.Table.from_arrays([*values, *whole.slice(first, step).columns], schema=writer.schema))

    replace(path, write)


def _binary(array: np.ndarray) -> pa.Array:
    offsets = np.arange(len(array) + 1, dtype=np.int32) * math.prod(array.shape[1:])
    return pa.Array.from_buffers(pa.binary(), len(array), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(array))])


class Groups:
    """Some columns of a file of `write_rows`; `shapes` are those of a row. It holds as many row groups as `most` bytes, one at least."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], most: int) -> None:
        self.path, self.shapes = path, shapes
        with parquet.ParquetFile(path) as file:
            self._metadata = file.metadata
        counts = [self._metadata.row_group(group).num_rows for group in range(self._metadata.num_row_groups)]
        self.starts = torch.tensor([0, *counts]).cumsum(0)
        """(groups + 1,): the first row of each, and the number of all."""
        self.row = sum(map(math.prod, shapes.values()))
        """The bytes of a row."""
        self.largest = max(counts, default=0) * self.row
        """The bytes of the largest row group."""
        self._most = most // max(1, self.largest)
        self._held: OrderedDict[int, Columns] = OrderedDict()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def whole(self) -> Columns:
        """All rows."""
        columns = self._empty(len(self))
        for group, (first, last) in enumerate(zip(self.starts.tolist(), self.starts[1:].tolist(), strict=False)):
            for name, part in self._read(group).items():
                columns[name][first:last] = part
        return columns

    def take(self, rows: Tensor) -> Columns:
        """Those of some numbers (rows,), in their order."""
        columns, group = self._empty(len(rows)), torch.searchsorted(self.starts, rows, right=True) - 1
        for number in self._held_first(group.unique().tolist()):
            places = (group == number).nonzero().squeeze(1)
            for name, part in self._group(number).items():
                columns[name][places] = part[rows[places] - self.starts[number]]
        return columns

    def _held_first(self, numbers: Iterable[int]) -> list[int]:
        return sorted(numbers, key=lambda number: (number not in self._held, number))

    def _group(self, number: int) -> Columns:
        if number not in self._held:
            while len(self._held) >= self._capacity():
                self._held.popitem(last=False)
            self._held[number] = self._read(number)
        self._held.move_to_end(number)
        return self._held[number]

    def _capacity(self) -> int:
        """Processes that share the lanes without a rest share the memory too."""
        info = get_worker_info()
        return max(1, self._most // (math.gcd(info.num_workers, LANES) if info else 1))

    def _read(self, group: int) -> Columns:
        with parquet.ParquetFile(self.path, metadata=self._metadata) as file:
            found = file.read_row_group(group, columns=list(self.shapes), use_threads=False)  # in a forked process there are none
        return {name: _bytes(found.column(name), shape) for name, shape in self.shapes.items()}

    def _empty(self, rows: int) -> dict[str, Tensor]:
        return {name: torch.empty(rows, *shape, dtype=torch.uint8) for name, shape in self.shapes.items()}


def _bytes(column: pa.ChunkedArray, shape: tuple[int, ...]) -> Tensor:
    """(rows, *shape) of a column of bytes. Raises ArrowInvalid if a value has another length."""
    width = math.prod(shape)
    values = column.cast(pa.binary(width)).combine_chunks()
    flat = np.frombuffer(values.buffers()[1], np.uint8, len(values) * width, values.offset * width)
    return torch.from_numpy(flat.copy()).view(-1, *shape)
