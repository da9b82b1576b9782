"""Raw knowledge graphs of several forms, read into one.

Text (`text.py`) holds one triple a line: head, relation, tail, separated by tabs or, where it has none, by white space; a
file .tsv is separated by tabs, .csv by commas. A folder or a zip (read in place) holds train.txt, valid.txt and test.txt (or
other spellings of them), and tells by what else it holds which form it is of:

- msg.txt: the observed test graph, with nodes and relations of its own (PediaTypes);
- another folder named for the test: its train.txt is the observed test graph (GraIL);
- observe.txt: what is observed, where train.txt holds only queries (family diagrams);
- nothing else: the test asks about the training graph itself, whose observed triples are train.txt (UMLS).

A Parquet table (head, relation, tail, split) has the same names as values of `split`. JSON points to the files of an
installed package, or to a generator.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.faults import every, shortened
from stillhouse.contracts.files import read_json
from stillhouse.contracts.names import name
from stillhouse.contracts.parquets import read_parquet
from stillhouse.contracts.raw import LARGEST, below, content
from stillhouse.contracts.settings import Settings, first_mistake
from stillhouse.training.packaged import PackagedFile, read_packaged
from stillhouse.workloads.graphs.knowledge import family_diagram, text
from stillhouse.workloads.graphs.knowledge.text import Role, parse

Triples = list[tuple[str, str, str]]
Members = Mapping[str, Callable[[], bytes]]
"""What reads the files of a folder or zip, by their paths in it."""
_ENTRIES = 10_000
"""The most files and folders in a raw folder."""
ROLES: tuple[Role, ...] = ("observe", "train", "valid", "msg", "test")


@dataclass(frozen=True)
class Source:
    """Named triples: what is observed, and what is asked, when training, validating and testing."""

    observed: Triples
    train: Triples
    valid: Triples
    test_observed: Triples
    test: Triples
    same_graph: bool
    """Whether the test asks about the training graph."""


class _Package(Settings):
    package: str
    files: dict[Role, PackagedFile]


_Pointer = TypeAdapter(_Package | family_diagram.FamilyDiagram)


def read(raw: Path, train: str, test: str) -> Source:
    """Everything in `raw`; `train` and `test` name folders in it, empty for its top and for no second folder.

    A raw folder may hold 10,000 files and folders.
    Memory: about 25 times the size of the text or table, of at most 256 MiB for each part of a folder or zip and 4 GiB for a table.
    Raises UserError, with file and line, at what is no triple and where something is missing.
    """
    if not raw.exists():
        raise UserError(f"{raw} - wanted a folder, .zip, .parquet or .json of triples - there is nothing")
    if raw.suffix == ".json":
        pointer = _pointer(raw)
        if isinstance(pointer, family_diagram.FamilyDiagram):
            return Source(**family_diagram.generate(pointer), same_graph=False)
        parts = {role: _packaged(raw, pointer.package, role, file) for role, file in pointer.files.items()}
        return _source(f"{raw}", text.without_headers(parts, {role: f"{raw}: files.{role}" for role in parts}), None)
    if raw.suffix == ".parquet":
        return _source(f"{raw}", _tabled(raw), None)
    if test:
        return _source(f"{raw}!{train}", _parts(raw, train, ("train", "valid")), _parts(raw, test, ("test",)))
    return _source(f"{raw}!{train}", _parts(raw, train, ("train", "valid", "test")), None)


def _source(place: str, parts: Mapping[Role, Triples], test_parts: Mapping[Role, Triples] | None) -> Source:
    def wanted(role: Role, among: Mapping[Role, Triples] = parts) -> Triples:
        if not among.get(role):
            raise UserError(f"{place} - wanted triples of {role!r} - there are {sorted(name for name in among if among[name])}")
        return among[role]

    train, valid = wanted("train"), wanted("valid")
    observed = parts.get("observe") or train
    if test_parts is not None:
        known = test_parts.get("observe") or wanted("train", test_parts)
        return Source(observed, train, valid, known, wanted("test", test_parts), same_graph=False)
    if parts.get("msg"):
        return Source(observed, train, valid, parts["msg"], wanted("test"), same_graph=False)
    return Source(observed, train, valid, observed, wanted("test"), same_graph=True)


def _parts(raw: Path, folder: str, needed: Sequence[Role]) -> dict[Role, Triples]:
    with _unzipped(raw) if raw.is_dir() else _zipped(raw) as members:
        files = text.named(members, folder, f"{raw}")
        _check_there(raw, folder, files, members, needed)
        places = {role: f"{raw}!{name}" for role, name in files.items()}
        triples = every(lambda role: parse(members[files[role]](), places[role]), files)
    return text.without_headers(dict(zip(files, triples, strict=True)), places)


def _check_there(raw: Path, folder: str, files: Mapping[Role, str], members: Iterable[str], needed: Sequence[Role]) -> None:
    if missing := [role for role in needed if role not in files]:
        spelled = f"{' or '.join(text.SPELLINGS[missing[0]])}, each as {', '.join(text.ENDINGS)}"
        got = shortened(f"{sorted(members)}", 1000)
        raise UserError(f"{raw} - wanted {missing[0]}.txt in folder {folder!r} ({spelled}) - there are the files {got}")


@contextmanager
def _zipped(raw: Path) -> Iterator[Members]:
    """Memory: that of the file, and of one member after the other, each of `LARGEST` bytes at most."""
    packed = content(raw)
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            named = [info for info in archive.infolist() if info.filename.lower().endswith(text.ENDINGS)]
            yield {info.filename: partial(_unpacked, raw, archive, info) for info in named}
    except (zipfile.BadZipFile, NotImplementedError):
        raise UserError(f"{raw} - wanted a folder, .zip, .parquet or .json of triples - it is none of them") from None


def _unpacked(raw: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > LARGEST:
        raise UserError(f"{raw}!{member.filename} - wanted at most {LARGEST} bytes when unpacked - got {member.file_size}")
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{raw}!{member.filename} - wanted a member that can be unpacked - {error}") from None


@contextmanager
def _unzipped(raw: Path) -> Iterator[Members]:
    found = sorted(path for path in below(raw, _ENTRIES) if path.name.lower().endswith(text.ENDINGS) and not path.is_dir())
    yield {path.relative_to(raw).as_posix(): partial(content, path, raw) for path in found}


def _tabled(raw: Path) -> dict[Role, Triples]:
    table = read_parquet(raw)
    if missing := [each for each in ("head", "relation", "tail", "split") if each not in table.column_names]:
        raise UserError(f"{raw} - wanted columns head, relation, tail, split - there is no {missing}, but {table.column_names}")
    parts: dict[Role, Triples] = {role: [] for role in ROLES}
    columns = (table.column(each).to_pylist() for each in ("head", "relation", "tail", "split"))

    def add(numbered: tuple[int, tuple[Any, Any, Any, Any]]) -> None:
        row, (*ends, split) = numbered
        head, relation, tail = map(name, ends)
        if head is None or relation is None or tail is None or (role := _role(split)) is None:
            wanted = f"wanted head, relation, tail and a split of {list(ROLES)}, in text or whole numbers"
            raise UserError(f"{raw}, row {row} - {wanted} - got {shortened(repr((*ends, split)), 200)}")
        parts[role].append((head, relation, tail))

    every(add, enumerate(zip(*columns, strict=True)))
    return parts


def _role(split: Any) -> Role | None:
    """What a cell of the column `split` means, in any spelling that a file may have too."""
    return next((role for role, spellings in text.SPELLINGS.items() if isinstance(split, str) and split.lower() in spellings), None)


def _pointer(raw: Path) -> _Package | family_diagram.FamilyDiagram:
    try:
        return _Pointer.validate_python(read_json(raw))
    except ValidationError as error:
        where, mistake = first_mistake(error, 1)
        raise UserError(f"{raw}: {where} - wanted a package with files, or a generator - {mistake}") from None


def _packaged(raw: Path, package: str, role: Role, file: PackagedFile) -> Triples:
    path, found = read_packaged(f"{raw}: files.{role}", package, file)
    return parse(found, str(path))
