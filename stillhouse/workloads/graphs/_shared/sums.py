"""Sparse sums of rows, with the transposed order kept beside so that the backward pass is a sum of the same kind.

`embedding_bag` is used because it is the fastest of PyTorch's kernels for this: for 822 000 entries of width 32 on one
core 6 ms, against 29 ms for a CSR product and 206 ms for `index_add`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class Sums:
    """A sparse matrix without values: which columns each row sums, in row order and (`_back`) in column order.

    `label` says, entry by entry, which of a batch's weights belongs to it. All are int32.
    """

    columns: Tensor
    starts: Tensor
    label: Tensor
    columns_back: Tensor
    starts_back: Tensor
    label_back: Tensor

    @staticmethod
    def of(row: Tensor, column: Tensor, shape: tuple[int, int], label: Tensor | None = None) -> Sums:
        """From entries in any order; without labels the entries have no weights."""
        label = torch.zeros_like(row) if label is None else label
        forward, back = torch.argsort(row, stable=True), torch.argsort(column, stable=True)
        return Sums(
            *(part.int() for part in (column[forward], row_starts(row, shape[0]), label[forward])),
            *(part.int() for part in (row[back], row_starts(column, shape[1]), label[back])),
        )

    @property
    def entries(self) -> int:
        """Number of entries."""
        return len(self.columns)

    def __call__(self, table: Tensor, weights: Tensor | None = None) -> Tensor:
        """(columns, width) -> (rows, width); `weights` is a vector that the labels point into, constant under autograd."""
        return _Sum.apply(table, self, None if weights is None else weights.to(table.dtype))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, table: Tensor, sums: Sums, weights: Tensor | None) -> Tensor:
        context.sums, context.weights = sums, weights
        return row_sums(table, sums.columns, sums.starts, _of_entries(weights, sums.label))

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        sums = context.sums
        weights = _of_entries(context.weights, sums.label_back)
        return row_sums(gradient.contiguous(), sums.columns_back, sums.starts_back, weights), None, None


def _of_entries(weights: Tensor | None, label: Tensor) -> Tensor | None:
    return None if weights is None else weights.index_select(0, label)


class Aggregate(nn.Module):
    """A `Sums` whose multiply-adds are counted: declare its channel axis as cost."""

    def forward(self, table: Tensor, sums: Sums, weights: Tensor | None = None) -> Tensor:
        """(columns, width) -> (rows, width)"""
        return sums(table, weights)

    def rows(self, table: Tensor, sums: Sums, weights: Tensor | None = None) -> int:
        """Multiply-adds for one channel."""
        return sums.entries


def row_sums(table: Tensor, columns: Tensor, starts: Tensor, weights: Tensor | None) -> Tensor:
    """(columns, width) -> (rows, width): the product of a sparse matrix, sorted by row, with a table.

    `columns` and `weights` (None: all 1) are one number per entry, and the entries of row i are those from starts[i] to
    starts[i + 1].
    """
    return functional.embedding_bag(columns, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=True)


def row_starts(row: Tensor, size: int) -> Tensor:
    """(size + 1,): where each row's entries start once they are sorted; `row` is the row of each entry, in any order."""
    return functional.pad(torch.bincount(row, minlength=size).cumsum(0), (1, 0))
