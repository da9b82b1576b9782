"""Every form of raw data is read, and what is wrong with it is said with its place."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.knowledge.read import Source, Triples, _tabled, parse, read

A, B, C, D, E = ([(f"{letter}{number}", "r", "t") for number in range(2)] for letter in "abcde")


def text(triples: Triples) -> str:
    return "".join("\t".join(triple) + "\n" for triple in triples)


def folder(root: Path, files: dict[str, Triples]) -> Path:
    for name, triples in files.items():
        path = root / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(triples))
    return root


def zipped(path: Path, files: dict[str, Triples]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, triples in files.items():
            archive.writestr(f"{name}.txt", text(triples))
    return path


FORMS = [
    ({"train": A, "valid": B, "test": C}, "", "", Source(A, A, B, A, C, True)),
    ({"x/train": A, "x/valid": B, "x/msg": C, "x/test": D}, "x", "", Source(A, A, B, C, D, False)),
    ({"x/train": A, "x/valid": B, "x/test": E, "y/train": C, "y/test": D}, "x", "y", Source(A, A, B, C, D, False)),
    ({"x/observe": A, "x/train": B, "x/valid": C, "y/observe": D, "y/test": E}, "x", "y", Source(A, B, C, D, E, False)),
]


@pytest.mark.parametrize(("files", "train", "test", "expected"), FORMS)
@pytest.mark.parametrize("make", [folder, lambda path, files: zipped(path / "raw.zip", files)])
def test_folders_and_zips(tmp_path: Path, make: object, files: dict[str, Triples], train: str, test: str, expected: Source) -> None:
    assert read(make(tmp_path, files), train, test) == expected  # type: ignore[operator]


def test_a_parquet_table(tmp_path: Path) -> None:
    rows = [(*triple, split) for split, part in {"train": A, "valid": B, "msg": C, "test": D}.items() for triple in part]
    columns = dict(zip(("head", "relation", "tail", "split"), map(list, zip(*rows, strict=True)), strict=True))
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", "", "") == Source(A, A, B, C, D, False)
    spelled = [{"valid": "Validation", "train": "TRAINING"}.get(row[-1], row[-1]) for row in rows]
    parquet.write_table(pa.table({**columns, "split": spelled}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", "", "") == Source(A, A, B, C, D, False)
    parquet.write_table(pa.table({**columns, "split": ["other"] * 8}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet, row 0 - wanted head, relation, tail and a split of .* - got .*'other'"):
        read(tmp_path / "t.parquet", "", "")
    parquet.write_table(pa.table({"head": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"there is no \['relation', 'tail', 'split'\], but \['head'\]"):
        read(tmp_path / "t.parquet", "", "")


def test_a_name_in_a_table_is_the_same_in_each_column(tmp_path: Path) -> None:
    columns = {"head": [1, 2], "relation": ["r", " r "], "tail": [2.0, 1.0], "split": ["train", "valid"]}
    parquet.write_table(pa.table({**columns, "split": ["train"] * 2}), tmp_path / "t.parquet")
    assert _tabled(tmp_path / "t.parquet")["train"] == [("1", "r", "2"), ("2", "r", "1")]
    for wrong in (float("nan"), 0.5):
        parquet.write_table(pa.table({**columns, "tail": [2.0, wrong]}), tmp_path / "t.parquet")
        with pytest.raises(UserError, match=r"t\.parquet, row 1 - wanted head, relation, tail and a split of .*, in text or whole numbers"):
            _tabled(tmp_path / "t.parquet")


def pointer(place: Path, **changes: str) -> Path:
    """To the files of an installed package."""
    root = importlib.metadata.distribution("pykeen")
    files = {}
    for role in ("train", "valid", "test"):
        name = f"pykeen/datasets/nations/{role}.txt"
        files[role] = {"path": name, "sha256": hashlib.sha256(Path(str(root.locate_file(name))).read_bytes()).hexdigest()}
    files["train"] |= changes
    place.write_text(json.dumps({"package": "pykeen", "files": files}))
    return place


def test_the_files_of_a_package_are_read_without_importing_it(tmp_path: Path) -> None:
    source = read(pointer(tmp_path / "nations.json"), "", "")
    assert [len(part) for part in (source.observed, source.valid, source.test)] == [1592, 199, 201]
    assert source.same_graph
    assert "pykeen" not in sys.modules


@pytest.mark.parametrize("name", ["umls", "nations", "kinships", "family-diagram"])
def test_the_committed_pointers_hold(name: str) -> None:
    assert read(Path(__file__).parents[4] / "data" / "raw" / f"{name}.json", "", "").test


def test_a_pointer_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"files\.train - wanted .*train\.txt with sha256 abc - got [0-9a-f]{64}"):
        read(pointer(tmp_path / "p.json", sha256="abc"), "", "")
    with pytest.raises(UserError, match=r"p\.json: files\.train - wanted nowhere\.txt of the installed package pykeen - there is none"):
        read(pointer(tmp_path / "p.json", path="nowhere.txt"), "", "")
    (tmp_path / "p.json").write_text('{"generator": "family_diagram_3"}')
    with pytest.raises(UserError, match=r"p\.json: .* - wanted a package with files, or a generator"):
        read(tmp_path / "p.json", "", "")
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(UserError, match=r"p\.json:1 - wanted JSON"):
        read(tmp_path / "p.json", "", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a r b\n" * 16 + b"a b\n", r"train\.txt:17 - wanted head, relation, tail separated by white space - got 'a b'"),
        (b"a r b\n\na r\n", r"train\.txt:3 - wanted .* - got 'a r'"),
        (b"a r b c\n", r"train\.txt:1 - wanted .* - got 'a r b c'"),
        (b"\xff\xfe", r"train\.txt - wanted UTF-8 text - byte 0 is not"),
    ],
)
def test_what_is_no_triple_is_named_by_file_and_line(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(content, "train.txt")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere - wanted a folder, \.zip, \.parquet or \.json of triples - there is nothing"):
        read(tmp_path / "nowhere", "", "")
    (tmp_path / "raw.zip").write_text("no archive")
    with pytest.raises(UserError, match=r"raw\.zip - wanted a folder, \.zip, .* - it is none of them"):
        read(tmp_path / "raw.zip", "", "")
    raw = zipped(tmp_path / "good.zip", {"x/train": A, "x/valid": B, "y/train": C})
    with pytest.raises(UserError, match=r"good\.zip - wanted train\.txt in folder 'z' .* - there are the files \['x/train\.txt', "):
        read(raw, "z", "")
    with pytest.raises(UserError, match=r"good\.zip - wanted test\.txt in folder 'x'"):
        read(raw, "x", "")
    with pytest.raises(UserError, match=r"good\.zip - wanted test\.txt in folder 'y'"):
        read(raw, "x", "y")
