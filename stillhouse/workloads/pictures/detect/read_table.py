"""Pictures and boxes in one Parquet table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every, shortened
from stillhouse.workloads.pictures._shared.splits import read_table as pictures_table
from stillhouse.workloads.pictures._shared.splits import split_rows
from stillhouse.workloads.pictures.detect.item import MOST_BOXES, Item, Source

SIDES = ("xmin", "ymin", "xmax", "ymax")
MOST_CLASSES = 100_000
"""Labels are below it."""


def read_table(raw: Path) -> Source:
    """Rows image, boxes and split; names of classes from the metadata `dataset` ({"classes": [...]}), or else numbers."""
    table = pictures_table(raw, ("image",))
    _check(raw, table)
    items = every(lambda row: _item(raw, table, row), range(table.num_rows))
    splits = {split: [items[row] for row in rows] for split, rows in split_rows(raw, table).items()}
    return Source(splits, _names(raw, table, items))


def _check(raw: Path, table: pa.Table) -> None:
    kind = table.schema.field("boxes").type if "boxes" in table.column_names else pa.null()
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    fields = {field.name for field in kind.value_type} if lists and pa.types.is_struct(kind.value_type) else set()
    if not {*SIDES, "label"} <= fields:
        wanted = f"wanted a column boxes of lists of {', '.join(SIDES)} and label"
        raise UserError(f"{raw} - {wanted} - got {kind if 'boxes' in table.column_names else table.column_names}")
    if text := [name for name in (*SIDES, "label") if not _is_number(kind.value_type.field(name).type)]:
        raise UserError(f"{raw} - wanted numbers as {text[0]} of a box - got {kind.value_type.field(text[0]).type}")
    if nulls := table.column("boxes").null_count:
        raise UserError(f"{raw} - wanted a value in each row of column boxes - {nulls} are missing")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)


def _item(raw: Path, table: pa.Table, row: int) -> Item:
    found, place = table.column("boxes")[row].as_py(), f"{raw}, row {row}"
    if any(box is None or None in box.values() for box in found):
        raise UserError(f"{place} - wanted numbers in each box - one is missing")
    if len(found) > MOST_BOXES:
        raise UserError(f"{place} - wanted {MOST_BOXES} boxes at most in a picture - got {len(found)}")
    try:
        boxes = np.array([[box[side] for side in SIDES] for box in found], dtype=np.float64).reshape(-1, 4)
        label = np.array([box["label"] for box in found], dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{place} - wanted numbers in each box - {shortened(str(error), 200)}") from None
    column = table.column("image")
    return Item(place, lambda: column[row].as_py(), boxes, label, np.zeros(len(label), bool))


def _names(raw: Path, table: pa.Table, items: list[Item]) -> tuple[str, ...]:
    classes = 1 + max((int(item.label.max()) for item in items if len(item.label)), default=-1)
    if classes > MOST_CLASSES:
        raise UserError(f"{raw} - wanted labels below {MOST_CLASSES} - got {classes - 1}")
    text = (table.schema.metadata or {}).get(b"dataset")
    if text is None:
        return tuple(str(number) for number in range(classes))
    try:
        return tuple(shortened(str(name), 200) for name in json.loads(text)["classes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{raw} - wanted JSON with classes in the metadata dataset - got {text[:60]!r}") from None
