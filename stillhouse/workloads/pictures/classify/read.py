"""Raw pictures of several forms, read into one.

- A folder of folders, one per class, of .png, .jpg and .jpeg files, also in folders within; or of folders train,
  val and test of such, however they are spelled.
- A Parquet table, or a folder of such: image (the bytes of a coded picture), label (numbers from 0, or names) and, if there is one, split.
  The form of Hugging Face, an image of bytes and path, with names of classes in the metadata, is read too.
- JSON that points to the digits of an installed package: lines of pixels and, last, the class.

What has no splits is all of `train`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from stillhouse.contracts.class_names import class_names
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.names import require_distinct
from stillhouse.contracts.raw import content
from stillhouse.contracts.splits import Split
from stillhouse.training.packaged import read_pointer
from stillhouse.workloads.pictures._shared.digits import DigitsPointer, read_digits
from stillhouse.workloads.pictures._shared.picture_files import SUFFIXES, folders_in, no_pictures_in, picture_files
from stillhouse.workloads.pictures._shared.shards import is_sharded
from stillhouse.workloads.pictures._shared.shelf import Rows
from stillhouse.workloads.pictures._shared.splits import cells, read_table, split_folders, split_rows
from stillhouse.workloads.pictures.classify.decode import Form, stack


@dataclass(frozen=True)
class Pictures:
    """(pictures, channel, height, width), uint8, and their classes (pictures,), numbers from 0."""

    image: Rows
    label: np.ndarray
    skipped: int = 0
    """How many could not be read and are left out."""

    def rows(self, chosen: np.ndarray) -> Pictures:
        """Some of them."""
        return Pictures(self.image.rows(chosen), self.label[chosen])


@dataclass(frozen=True)
class Source:
    """The splits that the raw data have, `train` at least, and the names of the classes if they have any."""

    splits: dict[Split, Pictures]
    names: tuple[str, ...] = ()


def read(raw: Path, form: Form) -> Source:
    """Everything in `raw`. Raises UserError, naming the picture, at what cannot be read."""
    if is_sharded(raw):
        return _tabled(raw, form)
    if raw.is_dir():
        return _foldered(raw, form)
    if not raw.is_file() or raw.suffix not in (".parquet", ".json"):
        got = "it is none of them" if raw.exists() else "there is nothing"
        raise UserError(f"{raw} - wanted a folder, .parquet or .json of pictures - {got}")
    return _tabled(raw, form) if raw.suffix == ".parquet" else _packaged(raw)


def _foldered(raw: Path, form: Form) -> Source:
    places = split_folders(raw)
    files = dict(zip(places, every(_classes, places.values()), strict=True))
    names = sorted({name for paths in files.values() for name, _ in paths})
    if empty := [split for split, paths in files.items() if not paths]:
        raise UserError(f"{places[empty[0]]} - wanted folders of {', '.join(SUFFIXES)} files, one folder a class - there are none")
    _check_names(raw, names)
    pictures = every(lambda paths: _read_files(raw, names, paths, form), files.values())
    return Source(dict(zip(files, pictures, strict=True)), tuple(names))


def _classes(place: Path) -> list[tuple[str, Path]]:
    folders = folders_in(place)
    if folders:
        no_pictures_in(place, "folders, one for each class")
    return [pair for pairs in every(_class, folders) for pair in pairs]


def _class(folder: Path) -> list[tuple[str, Path]]:
    if not (found := picture_files(folder)):
        raise UserError(
            f"{folder} - wanted {', '.join(SUFFIXES)} files in the folder of a class - there are none: take it away if it is none"
        )
    return [(folder.name, path) for path in found]


def _check_names(raw: Path, names: Sequence[str]) -> None:
    """Raises UserError at two names that look alike: an accent is one character in one of them and two in the other."""
    plain = [unicodedata.normalize("NFC", name) for name in names]
    if twice := next((name for name in plain if plain.count(name) > 1), None):
        raise UserError(
            f"{raw} - wanted one folder of the class {twice} - there are two, whose names are coded in different ways: join them"
        )


def _read_files(raw: Path, names: list[str], paths: list[tuple[str, Path]], form: Form) -> Pictures:
    image, rows = stack(((str(path), partial(content, path, raw)) for _, path in paths), form)
    return Pictures(image, np.array([names.index(name) for name, _ in paths])[rows], len(paths) - len(rows))


def _tabled(raw: Path, form: Form) -> Source:
    table = read_table(raw, ("image",), ("label",))
    label, names = _numbered(raw, table)
    splits = split_rows(raw, table)

    def decoded(rows: np.ndarray) -> Pictures:
        image, kept = stack(cells(raw, table, "image", rows), form)
        return Pictures(image, label[rows][kept], len(rows) - len(kept))

    pictures = every(decoded, splits.values())
    return Source(dict(zip(splits, pictures, strict=True)), names)


def _numbered(raw: Path, table: pa.Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of labels, and the names in their order if labels are names or the table has a name for each number."""
    label = table.column("label")
    if pa.types.is_integer(label.type):
        numbers, names = label.to_numpy(), class_names(table.schema, "label")
        if names and len(numbers) and numbers.max() >= len(names):
            raise UserError(f"{raw} - wanted labels below {len(names)}, the number of names in its metadata - got {numbers.max()}")
        return numbers, names
    found, places = np.unique(np.array(label.to_pylist(), dtype=str), return_inverse=True)
    require_distinct(map(str, found), f"{raw}")
    return places, tuple(map(str, found))


def _packaged(raw: Path) -> Source:
    pointer = read_pointer(raw, DigitsPointer, "a package, a file, height, width and highest")
    digits = read_digits(str(raw), pointer)
    return Source({"train": Pictures(Rows.of(digits.image[:, None]), digits.label)})
