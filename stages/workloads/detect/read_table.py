"""Pictures and boxes in one Parquet table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from stages.core.errors import UserError
from stages.workloads.detect.item import SPLITS, Item, Source, Split

SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_table(raw: Path) -> Source:
    """Rows image, boxes and split; names of classes from the metadata `dataset` ({"classes": [...]}), or else numbers."""
    try:
        table = parquet.read_table(raw)
    except pa.ArrowInvalid as error:
        raise UserError(f"{raw} - wanted a Parquet table - {error}") from None
    _check(raw, table)
    names = table.column("split").to_pylist() if "split" in table.column_names else ["train"] * table.num_rows
    if wrong := sorted({str(name) for name in names} - set(SPLITS)):
        raise UserError(f"{raw} - wanted splits of {sorted(SPLITS)} - got {wrong}")
    items = [_item(raw, table, row) for row in range(table.num_rows)]
    splits: dict[Split, list[Item]] = {}
    for name, item in zip(names, items, strict=True):
        splits.setdefault(SPLITS[name], []).append(item)
    return Source(splits, _names(raw, table, items))


def _check(raw: Path, table: pa.Table) -> None:
    if missing := [name for name in ("image", "boxes") if name not in table.column_names]:
        raise UserError(f"{raw} - wanted columns image, boxes and split - there is no {missing}, but {table.column_names}")
    image, boxes = (table.schema.field(name).type for name in ("image", "boxes"))
    fields = {field.name for field in boxes.value_type} if pa.types.is_list(boxes) and pa.types.is_struct(boxes.value_type) else set()
    if not (pa.types.is_binary(image) or pa.types.is_large_binary(image)) or not {*SIDES, "label"} <= fields:
        wanted = f"wanted an image column of bytes and a boxes column of lists of {', '.join(SIDES)} and label"
        raise UserError(f"{raw} - {wanted} - got {image} and {boxes}")
    for name in ("image", "boxes"):
        if nulls := table.column(name).null_count:
            raise UserError(f"{raw} - wanted a value in each row of column {name} - {nulls} are missing")


def _item(raw: Path, table: pa.Table, row: int) -> Item:
    found, place = table.column("boxes")[row].as_py(), f"{raw}, row {row}"
    if any(box is None or None in box.values() for box in found):
        raise UserError(f"{place} - wanted numbers in each box - one is missing")
    boxes = np.array([[box[side] for side in SIDES] for box in found], dtype=np.float32).reshape(-1, 4)
    label = np.array([box["label"] for box in found], dtype=np.int64)
    column = table.column("image")
    return Item(place, lambda: column[row].as_py(), boxes, label, np.zeros(len(label), bool))


def _names(raw: Path, table: pa.Table, items: list[Item]) -> tuple[str, ...]:
    classes = 1 + max((int(item.label.max()) for item in items if len(item.label)), default=-1)
    text = (table.schema.metadata or {}).get(b"dataset")
    if text is None:
        return tuple(str(number) for number in range(classes))
    try:
        return tuple(map(str, json.loads(text)["classes"]))
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{raw} - wanted JSON with classes in the metadata dataset - got {text[:60]!r}") from None
