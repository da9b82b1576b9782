"""Decoded pictures on the disk while they are prepared: of all of them, only those that are looked at are in memory."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stillhouse.training.groups import GROUP


@dataclass(frozen=True)
class Rows:
    """Some of the arrays that `held` has, (rows, *shape), uint8: their numbers in it, and what each byte stands for if not for itself."""

    held: np.ndarray
    numbers: np.ndarray
    table: np.ndarray | None = None
    """(256,), uint8."""

    @staticmethod
    def of(array: np.ndarray) -> Rows:
        """All of an array."""
        return Rows(array, np.arange(len(array)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, *shape)"""
        return len(self.numbers), *self.held.shape[1:]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> np.ndarray:
        """A copy of them in memory, by a slice, numbers or a mask."""
        found: np.ndarray = self.held[self.numbers[index]]
        return found if self.table is None else self.table[found]

    def rows(self, chosen: np.ndarray) -> Rows:
        """Some of these, by their numbers here or by a mask."""
        return Rows(self.held, self.numbers[chosen], self.table)

    def mapped(self, table: np.ndarray) -> Rows:
        """The same ones with other bytes: table[byte] for each."""
        return Rows(self.held, self.numbers, table)

    def parts(self) -> Iterator[np.ndarray]:
        """All of them, `GROUP` bytes at a time."""
        step = max(1, GROUP // max(1, math.prod(self.shape[1:])))
        for first in range(0, len(self), step):
            yield self[first : first + step]


class Shelf:
    """Arrays of one shape, uint8, put into a file that has no name: it is gone with the last `Rows` of it, however the process ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._count = 0
        self.first: np.ndarray | None = None
        """The first of them."""

    @staticmethod
    @contextmanager
    def within(folder: Path | None) -> Iterator[Shelf]:
        """An empty one in a folder, or where temporary files lie; after the block its rows can be read still, but none be put."""
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            yield Shelf(file)

    def put(self, array: np.ndarray) -> None:
        """Adds one of the shape of the first."""
        self.first = array if self.first is None else self.first
        self._file.write(np.ascontiguousarray(array).data)
        self._count += 1

    def rows(self) -> Rows:
        """All of them, in their order; one at least must be there."""
        assert self.first is not None
        self._file.flush()
        return Rows.of(np.memmap(self._file, np.uint8, "r", shape=(self._count, *self.first.shape)))
