"""Pictures and boxes as Pascal VOC writes them: an XML file in Annotations for each picture in JPEGImages."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every, shortened
from stillhouse.contracts.names import require_distinct
from stillhouse.contracts.raw import content
from stillhouse.contracts.splits import Split
from stillhouse.contracts.texts import decoded
from stillhouse.workloads.pictures._shared.picture_files import picture_files
from stillhouse.workloads.pictures.detect.item import Item, Source

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Object:
    name: str
    box: Box
    difficult: bool


@dataclass(frozen=True)
class _Annotated:
    objects: list[_Object]
    size: tuple[int, int] | None


def read_voc(raw: Path) -> Source:
    """Splits are the lists ImageSets/Main/train.txt, val.txt and test.txt, if there are any. Classes are numbered by their names.

    The first pixel has the number 1 and boxes hold their last pixels, so that xmin - 1 to xmax is what they span. An object that is
    marked as difficult need not be found. Memory: all XML files, each of 256 MiB at most, as trees one after another.
    """
    splits = _lists(raw)
    stems = list(dict.fromkeys(stem for part in splits.values() for stem in part))
    every(lambda stem: _check_stem(raw, stem), stems)
    written = _annotations(raw)
    known = dict(zip(stems, every(lambda stem: _read(written.get(stem, raw / "Annotations" / f"{stem}.xml"), raw), stems), strict=True))
    names = tuple(sorted({item.name for found in known.values() for item in found.objects}))
    require_distinct(names, f"{raw / 'Annotations'}")
    files = {path.stem: path for path in sorted((raw / "JPEGImages").glob("*.*"), reverse=True)}
    items = dict(zip(stems, every(lambda stem: _item(raw, stem, files.get(stem), known[stem], names), stems), strict=True))
    return Source({split: [items[stem] for stem in part] for split, part in splits.items()}, names)


def _lists(raw: Path) -> dict[Split, list[str]]:
    words: dict[Split, str] = {"train": "train", "valid": "val", "test": "test"}
    files = {split: raw / "ImageSets" / "Main" / f"{word}.txt" for split, word in words.items()}
    lists = {split: _stems(path, raw) for split, path in files.items() if path.is_file()}
    found = lists or {"train": _all(raw)}
    if empty := [split for split, stems in found.items() if not stems]:
        raise UserError(f"{raw} - wanted pictures in each split - there are none in {empty[0]}")
    return found


def _annotations(raw: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((raw / "Annotations").iterdir()) if path.suffix.lower() == ".xml"}


def _all(raw: Path) -> list[str]:
    """All pictures that have a file, where no list says which; warns of those that have none."""
    stems, pictures = sorted(_annotations(raw)), {path.stem for path in picture_files(raw / "JPEGImages")}
    if bare := sorted(pictures - set(stems)):
        names = shortened(", ".join(bare[:3]), 200)
        warnings.warn(f"{raw / 'JPEGImages'} - left out what has no file in Annotations: {names}{', ...' * (len(bare) > 3)}", stacklevel=4)
    return stems


def _stems(path: Path, raw: Path) -> list[str]:
    """Raises UserError at a picture that is listed twice: it would count twice."""
    stems = decoded(f"{path}", content(path, raw)).split()
    if twice := [stem for stem, count in Counter(stems).items() if count > 1]:
        raise UserError(f"{path} - wanted each picture once - {twice[0]!r:.100} is there {stems.count(twice[0])} times")
    return stems


def _check_stem(raw: Path, stem: str) -> None:
    if Path(stem).name != stem or stem == "..":
        raise UserError(f"{raw / 'ImageSets'} - wanted names of pictures in JPEGImages - got {stem!r}, which leads elsewhere")


class _Plain(ElementTree.TreeBuilder):
    """A tree without a document type: it could define entities that grow without bound, or that name other files."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Raises UserError: there should be none."""
        raise UserError(f"{self.path} - wanted XML without a document type - got <!DOCTYPE {shortened(name, 40)}")


def _read(path: Path, raw: Path) -> _Annotated:
    found = content(path, raw)
    try:
        root = ElementTree.fromstring(found, ElementTree.XMLParser(target=_Plain(path)))
    except UserError:
        raise
    except ElementTree.ParseError as error:
        raise UserError(f"{path}:{error.position[0]} - wanted XML - {error.msg.partition(':')[0]}") from None
    except (LookupError, ValueError) as error:
        raise UserError(f"{path} - wanted XML in an encoding that is known - {error}") from None
    objects = list(root.iter("object"))
    read = every(lambda pair: _object(*pair), zip(_places(path, found, len(objects)), objects, strict=True))
    return _Annotated(read, _size(root))


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Width and height, where they are said: some tools write 0."""
    sides = [root.findtext(f"size/{side}", "").strip() for side in ("width", "height")]
    width, height = (int(side) if side.isdecimal() else 0 for side in sides)
    return (width, height) if width and height else None


def _places(path: Path, found: bytes, count: int) -> list[str]:
    """By lines, if the encoding lets them be found."""
    text = re.sub(rb"<!--.*?-->", lambda comment: b"\n" * comment[0].count(b"\n"), found, flags=re.DOTALL)
    lines = [text.count(b"\n", 0, match.start()) + 1 for match in re.finditer(rb"<object[\s/>]", text)]
    return [f"{path}:{line}" for line in lines] if len(lines) == count else [f"{path}, object {number}" for number in range(count)]


def _object(place: str, element: ElementTree.Element) -> _Object:
    name, box = element.findtext("name"), element.find("bndbox")
    texts = [box.findtext(side, "") if box is not None else "" for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = map(float, texts)
    except ValueError:
        raise UserError(f"{place} - wanted numbers xmin, ymin, xmax and ymax in bndbox - got {texts}") from None
    if not name:
        raise UserError(f"{place} - wanted a name for the object - there is none")
    return _Object(name.strip(), (left - 1, top - 1, right, bottom), element.findtext("difficult", "0").strip() == "1")


def _item(raw: Path, stem: str, picture: Path | None, found: _Annotated, names: tuple[str, ...]) -> Item:
    if picture is None:
        raise UserError(f"{raw / 'JPEGImages'} - wanted the picture {stem} - there is none")
    boxes, path = np.array([item.box for item in found.objects], dtype=np.float64).reshape(-1, 4), picture
    label = np.array([names.index(item.name) for item in found.objects], dtype=np.int64)
    difficult = np.array([item.difficult for item in found.objects], bool)
    return Item(str(path), lambda: content(path, raw), boxes, label, difficult, found.size)
