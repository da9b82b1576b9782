"""Pictures and boxes as COCO writes them: JSON with images, annotations and categories, the pictures in a folder."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, FailFast, ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.files import read_json
from stillhouse.contracts.names import require_distinct
from stillhouse.contracts.raw import content as read_bytes
from stillhouse.contracts.settings import first_mistake
from stillhouse.workloads.pictures._shared.splits import Split
from stillhouse.workloads.pictures.detect.item import MOST_BOXES, Item, Source


def _no_text(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f"it should be a number, got {value!r:.100} in quotation marks")
    return value


_Length = Annotated[float, BeforeValidator(_no_text)]
_Pixels = Annotated[int, BeforeValidator(_no_text)]
Box = tuple[_Length, _Length, _Length, _Length]
_WORDS: dict[str, Split] = {"train": "train", "val": "valid", "test": "test"}


class _Image(BaseModel):
    id: int
    file_name: str
    width: _Pixels | None = None
    height: _Pixels | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Where it is known: some tools write 0."""
        return (self.width, self.height) if self.width and self.height else None


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: Box
    """Left, top, width, height."""
    iscrowd: bool = False


class _Category(BaseModel):
    id: int
    name: str


class _File(BaseModel):
    images: Annotated[list[_Image], FailFast()]
    annotations: Annotated[list[_Annotation], FailFast()]
    categories: Annotated[list[_Category], FailFast()]


def read_coco(folder: Path, files: list[Path], within: Path) -> Source:
    """One file is `train`; of several, each has the word train, val or test in its name (`instances_train2017.json`).

    A picture lies in `folder`, in `images`, or in a folder named like its file (`train2017`). Classes are numbered by their id.
    Memory: ten times the JSON, which may have 256 MiB; annotation files may be no links out of `within`, nor pictures out of `folder`.
    """
    if not files:
        raise UserError(f"{folder} - wanted COCO's .json files or Pascal VOC's Annotations - there are none")
    known = dict(zip(files, every(lambda path: _read(path, within), files), strict=True))
    first = known[files[0]]
    _check_categories(files[0], first)
    categories = {category.id: category.name for category in sorted(first.categories, key=lambda category: category.id)}
    number = {identity: place for place, identity in enumerate(categories)}
    splits: dict[Split, list[Item]] = {}
    for path, content in known.items():
        split = _split(path) if len(files) > 1 else "train"
        if split in splits:
            raise UserError(f"{path} - wanted one file for each split - there are two for {split}")
        if {category.id: category.name for category in content.categories} != categories:
            raise UserError(f"{path}: categories - wanted those of {files[0].name} - they differ")
        splits[split] = list(_items(folder, path, content, number))
    return Source(splits, tuple(categories.values()))


def _read(path: Path, within: Path) -> _File:
    try:
        return _File.model_validate(read_json(path, within))
    except ValidationError as error:
        where, mistake = first_mistake(error)
        raise UserError(f"{path}: {where} - wanted COCO's images, annotations and categories - {mistake}") from None


def _check_categories(path: Path, content: _File) -> None:
    for what in ("id", "name"):
        words = [getattr(each, what) for each in content.categories]
        if twice := next((word for word in words if words.count(word) > 1), None):
            raise UserError(f"{path}: categories - wanted each {what} once - got {twice!r} {words.count(twice)} times")
    require_distinct([each.name for each in content.categories], f"{path}: categories")


def _split(path: Path) -> Split:
    found = {split for word, split in _WORDS.items() if word in path.stem}
    if len(found) != 1:
        raise UserError(f"{path} - wanted one of {', '.join(_WORDS)} in the name of a file beside others - got {path.stem}")
    return found.pop()


def _items(folder: Path, path: Path, content: _File, number: dict[int, int]) -> list[Item]:
    images = _images(path, content)
    found = _annotations(path, content, images.keys(), number.keys())
    return every(lambda image: _item(folder, _located(folder, path, image.file_name), image, found[image.id], number), images.values())


def _images(path: Path, content: _File) -> dict[int, _Image]:
    """By their ids. Raises UserError where two have one."""
    images: dict[int, _Image] = {}
    places: dict[int, int] = {}

    def note(numbered: tuple[int, _Image]) -> None:
        place, image = numbered
        if images.setdefault(image.id, image) is not image:
            first = places[image.id]
            raise UserError(f"{path}: images.{place}.id - wanted an id of its own - {image.id} is that of images.{first} too")
        places[image.id] = place

    every(note, enumerate(content.images))
    return images


def _annotations(path: Path, content: _File, images: Collection[int], categories: Collection[int]) -> dict[int, list[_Annotation]]:
    """By the ids of their images. Raises UserError at one of an image or a category that is not there."""
    found: dict[int, list[_Annotation]] = defaultdict(list)

    def add(numbered: tuple[int, _Annotation]) -> None:
        place, annotation = numbered
        if annotation.image_id not in images or annotation.category_id not in categories:
            wrong, all_of = ("image", "images") if annotation.image_id not in images else ("category", "categories")
            raise UserError(f"{path}: annotations.{place}.{wrong}_id - wanted the id of one of the {all_of} - there is none such")
        found[annotation.image_id].append(annotation)

    every(add, enumerate(content.annotations))
    return found


def _item(folder: Path, picture: Path, image: _Image, annotations: list[_Annotation], number: dict[int, int]) -> Item:
    if len(annotations) > MOST_BOXES:
        raise UserError(f"{picture} - wanted {MOST_BOXES} boxes at most in a picture - got {len(annotations)}")
    boxes = np.array([annotation.bbox for annotation in annotations], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    label = np.array([number[annotation.category_id] for annotation in annotations], dtype=np.int64)
    crowd = np.array([annotation.iscrowd for annotation in annotations], bool)
    return Item(str(picture), lambda: read_bytes(picture, folder), boxes, label, crowd, image.size)


def _located(folder: Path, path: Path, name: str) -> Path:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{path} - wanted pictures within {folder} - got {name!r}, which leads out of it")
    places = [folder / name, folder / "images" / name, folder / path.stem.rpartition("_")[2] / name]
    for place in places:
        if os.path.isfile(place):
            return place
    raise UserError(f"{path} - wanted the picture {name} in {folder}, its images or {places[2].parent.name} - there is none")
