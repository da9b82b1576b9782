"""Which mask belongs to which picture in folders of both: by their names, each once."""

from __future__ import annotations

from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every
from stillhouse.contracts.splits import Split, split_of
from stillhouse.workloads.pictures._shared.picture_files import SUFFIXES, folders_in, picture_files
from stillhouse.workloads.pictures._shared.splits import split_folders


def places(raw: Path) -> dict[Split, tuple[Path, Path]]:
    """The folders of pictures and of masks of each split: in a folder for each split, or with one in each of the two."""
    images, masks = raw / "images", raw / "masks"
    if images.is_dir() and masks.is_dir() and any(split_of(path.name) for path in folders_in(images)):
        inner, outer = split_folders(images), split_folders(masks)
        if inner.keys() != outer.keys():
            raise UserError(f"{masks} - wanted the splits of {images}, {', '.join(inner)} - got {', '.join(outer)}")
        return {split: (inner[split], outer[split]) for split in inner}
    return {split: (place / "images", place / "masks") for split, place in split_folders_beside(raw, images, masks).items()}


def split_folders_beside(raw: Path, images: Path, masks: Path) -> dict[Split, Path]:
    """Itself as train where it holds the two folders, whatever else lies there."""
    return {"train": raw} if images.is_dir() or masks.is_dir() else split_folders(raw)


def pairs_of(images: Path, masks: Path) -> dict[Path, tuple[Path, Path]]:
    """Name without suffix -> picture and mask. Raises UserError at one without the other, and at two of one name."""
    pictures, known = _named(images), _named(masks)
    if not pictures:
        raise UserError(f"{images.parent} - wanted folders images, of {', '.join(SUFFIXES)} files, and masks - there are no such images")
    every(lambda name: _check(name, known, masks, f"a mask {name} for each picture in {images}"), pictures)
    every(lambda name: _check(name, pictures, images, f"a picture {name} for each mask in {masks}"), known)
    return {name: (picture, known[name]) for name, picture in pictures.items()}


def _named(folder: Path) -> dict[Path, Path]:
    found: dict[Path, Path] = {}
    for path in picture_files(folder):
        name = path.relative_to(folder).with_suffix("")
        if name in found:
            raise UserError(f"{folder} - wanted one file named {name} - got {found[name].name} and {path.name}")
        found[name] = path
    return found


def _check(name: Path, among: dict[Path, Path], folder: Path, wanted: str) -> None:
    if name not in among:
        raise UserError(f"{folder} - wanted {wanted} - there is none")
