"""Raw pictures with masks of several forms, read into one.

- A folder with the folders images and masks, which hold files of the same names but for the suffix; or with folders train, val and test
  that have the two, or that are in both. Other folders in images are searched too.
- A Parquet table, or a folder of such: image and mask (the bytes of coded pictures) and, if they are there, split, id (the
  picture's name) and metadata `dataset`, JSON with `classes` (names by number) and `ignore_index` (the number of no class).
- JSON that describes scenes composed of the digits of an installed package.

A mask is a picture of one number per pixel, its class from 0. What has no splits is all of `train`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.raw import content
from stillhouse.contracts.splits import Split
from stillhouse.workloads.pictures._shared.scenes import read_scenes
from stillhouse.workloads.pictures._shared.shards import is_sharded
from stillhouse.workloads.pictures._shared.shelf import Rows
from stillhouse.workloads.pictures._shared.splits import cells, read_table, split_rows
from stillhouse.workloads.pictures.segment.decode import Coded, Form, stack
from stillhouse.workloads.pictures.segment.pairs import pairs_of, places


@dataclass(frozen=True)
class Pictures:
    """(pictures, channel, height, width), uint8; masks (pictures, height, width), uint8; and names (pictures,)."""

    image: Rows
    mask: Rows
    name: np.ndarray
    skipped: int = 0
    """How many could not be read, or had no mask that can be, and are left out."""

    def rows(self, chosen: np.ndarray) -> Pictures:
        """Some of them, by a mask or by their numbers."""
        return Pictures(self.image.rows(chosen), self.mask.rows(chosen), self.name[chosen])


@dataclass(frozen=True)
class Source:
    """The splits that the raw data have, `train` at least; names of the numbers in masks and the number of no class, if known."""

    splits: dict[Split, Pictures]
    names: tuple[str, ...] = ()
    void: int | None = None


class _Facts(BaseModel):
    """What is used of all that a table may say of itself."""

    classes: tuple[str, ...] = ()
    ignore_index: int | None = Field(None, ge=0, le=255)


def read(raw: Path, form: Form) -> Source:
    """Everything in `raw`. Raises UserError, naming the picture, at what cannot be read."""
    if is_sharded(raw):
        return _tabled(raw, form)
    if raw.is_dir():
        found = places(raw)
        return Source(dict(zip(found, every(lambda place: _folder(raw, *place, form), found.values()), strict=True)))
    if not raw.is_file() or raw.suffix not in (".parquet", ".json"):
        got = "it is none of them" if raw.exists() else "there is nothing"
        raise UserError(f"{raw} - wanted a folder, .parquet or .json of pictures with masks - {got}")
    return _tabled(raw, form) if raw.suffix == ".parquet" else _composed(raw)


def _folder(raw: Path, images: Path, masks: Path, form: Form) -> Pictures:
    pairs = pairs_of(images, masks)
    coded = ((_coded(path, raw), _coded(mask, raw)) for path, mask in pairs.values())
    return _read(coded, np.array([name.as_posix() for name in pairs]), form)


def _read(pairs: Iterable[tuple[Coded, Coded]], names: np.ndarray, form: Form) -> Pictures:
    image, mask, rows = stack(pairs, form)
    return Pictures(image, mask, names[rows], len(names) - len(rows))


def _coded(path: Path, raw: Path) -> Coded:
    return str(path), partial(content, path, raw)


def _tabled(raw: Path, form: Form) -> Source:
    table = read_table(raw, ("image", "mask"))
    names = np.array(
        [str(name) for name in table.column("id").to_pylist()]
        if "id" in table.column_names
        else [str(row) for row in range(table.num_rows)]
    )

    def pairs(rows: np.ndarray) -> Iterator[tuple[Coded, Coded]]:
        masks = ((f"{place}, column mask", coded) for place, coded in cells(raw, table, "mask", rows))
        return zip(cells(raw, table, "image", rows), masks, strict=True)

    splits, facts = split_rows(raw, table), _facts(raw, table)
    pictures = every(lambda rows: _read(pairs(rows), names[rows], form), splits.values())
    return Source(dict(zip(splits, pictures, strict=True)), facts.classes, facts.ignore_index)


def _facts(raw: Path, table: pa.Table) -> _Facts:
    try:
        return _Facts.model_validate_json((table.schema.metadata or {}).get(b"dataset", b"{}"))
    except ValidationError as error:
        wanted = "wanted JSON as the metadata `dataset`, classes a list of names and ignore_index a number"
        raise UserError(f"{raw} - {wanted} - {error.errors()[0]['msg']}") from None


def _composed(raw: Path) -> Source:
    splits = {}
    for split, scenes in read_scenes(raw).items():
        names = np.array([f"{split}{number}" for number in range(len(scenes.mask))])
        splits[split] = Pictures(Rows.of(scenes.image[:, None]), Rows.of(scenes.mask), names)
    return Source(splits, ("ground", *(str(digit) for digit in range(10))))
