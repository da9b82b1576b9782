"""Columns of whole numbers of a prepared text: in memory, or, where they are too many for it, in a file that is read where it is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import torch
from torch import Tensor

_ROWS = 65_536
"""Rows of a table that are unpacked at once."""


def columns(path: Path, names: Sequence[str], most: int) -> Tensor:
    """(names, rows), int32, in memory if they have `most` bytes or fewer.

    Else they are unpacked once, into a file without a name beside the folder of the table, of which the system keeps in memory what it has
    room for; it is gone with the tensor, however the process ends.
    """
    with parquet.ParquetFile(path) as file, ExitStack() as stack:
        shape = len(names), file.metadata.num_rows
        beside = stack.enter_context(tempfile.TemporaryFile(dir=path.parents[1])) if 4 * shape[0] * shape[1] > most else None
        found = np.memmap(beside, np.int32, "w+", shape=shape) if beside and shape[1] else np.empty(shape, np.int32)
        first = 0
        for batch in file.iter_batches(_ROWS, columns=list(names)):
            for row, name in enumerate(names):
                found[row, first : first + batch.num_rows] = batch.column(name).to_numpy()
            first += batch.num_rows
    return torch.from_numpy(found)
