"""Raw pictures of several forms, read into one.

- A folder of folders, one a class, of .png, .jpg and .jpeg files; or of folders train, val (or valid) and test of such.
- A Parquet table: image (the bytes of a coded picture), label (numbers from 0) and, if there is one, split (train, val
  or valid, test).
- JSON that points to the digits of an installed package: lines of pixels and, last, the class.

What has no splits is all of `train`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from stages.core.digits import DigitsPointer, read_digits
from stages.core.errors import UserError
from stages.core.packaged import read_pointer
from stages.workloads.classify.decode import Form, stack

Split = Literal["train", "valid", "test"]
_SPLITS: dict[str, Split] = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
_SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Pictures:
    """(pictures, channel, height, width), uint8, and their classes (pictures,), numbers from 0."""

    image: np.ndarray
    label: np.ndarray

    def rows(self, chosen: np.ndarray) -> Pictures:
        """Some of them."""
        return Pictures(self.image[chosen], self.label[chosen])


@dataclass(frozen=True)
class Source:
    """The splits that the raw data have, `train` at least, and the names of the classes if they have any."""

    splits: dict[Split, Pictures]
    names: tuple[str, ...] = ()


def read(raw: Path, form: Form) -> Source:
    """Everything in `raw`. Raises UserError, naming the picture, at what cannot be read."""
    if raw.is_dir():
        return _foldered(raw, form)
    if not raw.exists() or raw.suffix not in (".parquet", ".json"):
        got = "it is none of them" if raw.exists() else "there is nothing"
        raise UserError(f"{raw} - wanted a folder, .parquet or .json of pictures - {got}")
    return _tabled(raw, form) if raw.suffix == ".parquet" else _packaged(raw)


def _foldered(raw: Path, form: Form) -> Source:
    folders = {path.name: path for path in sorted(raw.iterdir()) if path.is_dir()}
    places: dict[Split, Path] = {split: folders[name] for name, split in _SPLITS.items() if name in folders} or {"train": raw}
    if {"val", "valid"} <= folders.keys():
        raise UserError(f"{raw} - wanted one folder of pictures to validate on - got val and valid")
    if "train" not in places:
        raise UserError(f"{raw} - wanted a folder train beside {sorted(places.values())[0].name} - there is none")
    files = {split: [path for path in sorted(place.glob("*/*")) if path.suffix.lower() in _SUFFIXES] for split, place in places.items()}
    names = sorted({path.parent.name for paths in files.values() for path in paths})
    if empty := [split for split, paths in files.items() if not paths]:
        raise UserError(f"{places[empty[0]]} - wanted folders of {', '.join(sorted(_SUFFIXES))} files, one folder a class - there are none")
    return Source({split: _read_files(names, paths, form) for split, paths in files.items()}, tuple(names))


def _read_files(names: list[str], paths: list[Path], form: Form) -> Pictures:
    image = stack(((str(path), path.read_bytes()) for path in paths), form)
    return Pictures(image, np.array([names.index(path.parent.name) for path in paths]))


def _tabled(raw: Path, form: Form) -> Source:
    try:
        table = parquet.read_table(raw)
    except pa.ArrowInvalid as error:
        raise UserError(f"{raw} - wanted a Parquet table - {error}") from None
    if missing := [name for name in ("image", "label") if name not in table.column_names]:
        raise UserError(f"{raw} - wanted columns image, label and split - there is no {missing}, but {table.column_names}")
    _check_table(raw, table)
    names = table.column("split").to_pylist() if "split" in table.column_names else ["train"] * table.num_rows
    if wrong := sorted({str(name) for name in names} - set(_SPLITS)):
        raise UserError(f"{raw} - wanted splits of {sorted(_SPLITS)} - got {wrong}")
    label, split = table.column("label").to_numpy(), np.array([_SPLITS[name] for name in names])
    found: dict[Split, Pictures] = {}
    for name in ("train", "valid", "test"):
        rows = (split == name).nonzero()[0]
        if len(rows):
            found[name] = Pictures(stack(_contents(raw, table, rows), form), label[rows])
    if "train" not in found:
        raise UserError(f"{raw} - wanted rows of the split train - got {sorted(found)}")
    return Source(found)


def _check_table(raw: Path, table: pa.Table) -> None:
    image, label = (table.schema.field(name).type for name in ("image", "label"))
    if not (pa.types.is_binary(image) or pa.types.is_large_binary(image)) or not pa.types.is_integer(label):
        raise UserError(f"{raw} - wanted an image column of bytes and a label column of whole numbers - got {image} and {label}")
    for name in ("image", "label"):
        if nulls := table.column(name).null_count:
            raise UserError(f"{raw} - wanted a value in each row of column {name} - {nulls} are missing")


def _contents(raw: Path, table: pa.Table, rows: np.ndarray) -> Iterator[tuple[str, bytes]]:
    column = table.column("image")
    for row in rows:
        yield f"{raw}, row {row}", column[int(row)].as_py()


def _packaged(raw: Path) -> Source:
    pointer = read_pointer(raw, DigitsPointer, "a package, a file, height, width and highest")
    digits = read_digits(str(raw), pointer)
    return Source({"train": Pictures(digits.image[:, None], digits.label)})
