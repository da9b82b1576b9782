"""Files of text with a triple a line: which file is which part, how fields are separated, and which first line is a header.

A first line is a header if its three fields are headings (`head`, `relation`, `tail` and their like, in any case) and none
of the three occurs as a name in any other line of the same folder. It is left out with a warning. If one occurs, the line
is a triple, and a warning says so: nothing is left out silently.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Literal

from stillhouse.contracts import texts
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every, shortened

Triple = tuple[str, str, str]
Role = Literal["observe", "train", "valid", "msg", "test"]
ENDINGS = (".txt", ".tsv", ".csv")
SPELLINGS: Mapping[Role, tuple[str, ...]] = {
    "observe": ("observe", "observed"),
    "train": ("train", "training"),
    "valid": ("valid", "validation", "validate", "val", "dev"),
    "msg": ("msg",),
    "test": ("test", "testing"),
}
HEADINGS = (
    {"head", "h", "head_id", "subject", "subj", "source", "from"},
    {"relation", "r", "rel", "relation_id", "predicate", "pred", "edge", "label", "type"},
    {"tail", "t", "tail_id", "object", "obj", "target", "to"},
)


def named(names: Iterable[str], folder: str, place: str) -> dict[Role, str]:
    """The file of each part that a folder has, by `SPELLINGS` and `ENDINGS`; `PART.txt` is taken before any other spelling.

    Raises UserError where two other files are the same part.
    """
    known: dict[str, Role] = {spelling: part for part, spellings in SPELLINGS.items() for spelling in spellings}
    found: dict[Role, list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        part = known.get(path.stem.lower())
        if part and path.suffix.lower() in ENDINGS and path.parent == PurePosixPath(folder):
            found.setdefault(part, []).append(name)
    return {part: _one(part, found[part], place) for part in SPELLINGS if part in found}


def _one(part: Role, files: list[str], place: str) -> str:
    plain = [name for name in files if PurePosixPath(name).name == f"{part}.txt"]
    if len(files) > 1 and not plain:
        raise UserError(f"{place} - wanted one file of {part!r} - there are {files}")
    return (plain or files)[0]


def parse(content: bytes, place: str) -> list[Triple]:
    """The triples of a text, one per line that is not empty. Raises UserError with `place` and line at all lines that are none."""
    lines = texts.lines(texts.decoded(place, content))
    ending = PurePosixPath(place).suffix.lower()
    commas = ending == ".csv" and bool(lines) and "\t" not in lines[0]
    wanted = f"separated by {'commas' if commas else 'tabs' if ending == '.tsv' else 'white space'}"

    def triple(numbered: tuple[int, str]) -> Triple:
        match _fields(numbered[1], commas, ending == ".tsv"):
            case head, relation, tail if head and relation and tail:
                return head, relation, tail
        raise UserError(f"{place}:{numbered[0]} - wanted head, relation, tail {wanted} - got {shortened(repr(numbered[1]), 200)}")

    return every(triple, ((number, line) for number, line in enumerate(lines, start=1) if line.strip()))


def _fields(line: str, commas: bool, tabs: bool) -> list[str]:
    if commas:
        try:
            fields = next(csv.reader([line], skipinitialspace=True, strict=True), [])
        except csv.Error:
            return []
    else:
        fields = line.strip().split("\t") if tabs or "\t" in line.strip() else line.split()
    return [field.strip() for field in fields]


def without_headers(parts: Mapping[Role, list[Triple]], places: Mapping[Role, str]) -> dict[Role, list[Triple]]:
    """Some files of one folder without those first lines that are headers; warns of each, and of triples that read like one.

    Raises UserError where a header has the columns in another order.
    """
    first = {part: triples[0] for part, triples in parts.items() if triples and _reads_like_headings(triples[0])}
    if not first:
        return dict(parts)
    names = {name for part, triples in parts.items() for triple in triples[part in first :] for name in triple}
    return {part: _below(triples, first.get(part), names, places[part]) for part, triples in parts.items()}


def _below(triples: list[Triple], heading: Triple | None, names: set[str], place: str) -> list[Triple]:
    if heading is None:
        return triples
    if elsewhere := sorted(names.intersection(heading)):
        warnings.warn(f"{place}:1 reads like a header and is kept as a triple: {elsewhere} are names in other lines too", stacklevel=2)
        return triples
    if not all(field.lower() in wanted for field, wanted in zip(heading, HEADINGS, strict=True)):
        raise UserError(f"{place}:1 - wanted the columns head, relation, tail in this order - got the header {list(heading)}")
    warnings.warn(f"{place}:1 is taken for a header and left out: {list(heading)} are no names in any other line", stacklevel=2)
    return triples[1:]


def _reads_like_headings(triple: Triple) -> bool:
    """In any order."""
    fields = {field.lower() for field in triple}
    return all(len(fields & wanted) == 1 for wanted in HEADINGS)
