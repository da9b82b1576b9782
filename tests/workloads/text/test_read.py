"""Raw texts in every form, and what is refused of them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.text._shared import generated
from stillhouse.workloads.text._shared.document import split
from stillhouse.workloads.text._shared.read import ReadSettings, read
from tests.workloads.text.raws import folder, jsonl

ROWS = [
    {"set": "a", "book": "B", "text": "one", "split": "train", "label": 1},
    {"set": "a", "book": "C", "text": "two", "split": "validation", "label": 0},
    {"set": "b", "book": "B", "text": "other", "split": "train", "label": 0},
    {"set": "a", "book": "B", "text": "three", "split": "train", "label": 1},
]


def found(raw: Path, **settings: object) -> list[tuple[object, ...]]:
    return [(each.text, each.split, each.label) for each in read(raw, ReadSettings.model_validate(settings))]


def test_a_folder_of_files_says_splits_and_classes(tmp_path: Path) -> None:
    files = {
        "train/good/1.txt": "fine\n",
        "train/bad/2.txt": b"\xef\xbb\xbfpoor",
        "val/good/3.txt": "so so",
        ".x/4.txt": "no",
        "README.md": "no",
    }
    with pytest.warns(UserWarning, match=r"left out what does not end in \.jsonl, \.parquet, \.txt: README\.md$"):
        read = found(folder(tmp_path, files))
    assert read == [("poor", "train", "bad"), ("fine\n", "train", "good"), ("so so", "valid", "good")]


def test_files_of_splits_lie_side_by_side(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"train.txt": "a", "test.jsonl": jsonl([{"text": "b"}]), "valid.txt": "c"})
    assert found(raw) == [("b", "test", None), ("a", "train", None), ("c", "valid", None)]


def test_splits_are_known_in_any_spelling_and_files_may_be_several(tmp_path: Path) -> None:
    files = {"Training-00000-of-00001.jsonl": jsonl([{"text": "a"}]), "DEV.txt": "b", "TEST/good/1.txt": "c"}
    assert found(folder(tmp_path, files)) == [("b", "valid", None), ("c", "test", "good"), ("a", "train", None)]


def test_numbers_of_classes_have_the_names_that_their_table_says(tmp_path: Path) -> None:
    said = json.dumps({"info": {"features": {"label": {"names": ["bad", "good"]}}}})
    rows = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1]}).replace_schema_metadata({"huggingface": said})
    parquet.write_table(rows, tmp_path / "r.parquet")
    assert found(tmp_path / "r.parquet") == [("a", None, "good"), ("b", None, "bad"), ("c", None, None)]
    parquet.write_table(rows.set_column(1, "label", pa.array([0, 1, 2])), tmp_path / "r.parquet")
    with pytest.raises(UserError, match=r"r\.parquet - wanted numbers below 2, .* in 'label' - got 2"):
        found(tmp_path / "r.parquet")


@pytest.mark.parametrize("name", ["r.parquet", "r.jsonl"])
def test_rows_of_tables_and_of_lines_are_alike(tmp_path: Path, name: str) -> None:
    if name == "r.jsonl":
        folder(tmp_path, {name: "\n" + jsonl(ROWS)})
    else:
        table = pa.Table.from_pylist(ROWS)
        parquet.write_table(table.set_column(1, "book", table["book"].dictionary_encode()), tmp_path / name)
    assert found(tmp_path / name, where={"set": "a"}) == [("one", "train", 1), ("two", "valid", 0), ("three", "train", 1)]
    joined = found(tmp_path / name, document="book", join="|", where={"set": "a"})
    assert joined == [("one|three", "train", 1), ("two", "valid", 0)]
    assert found(tmp_path / name, splits={"validation": "none"}, label="book")[1:] == [("other", "train", "B"), ("three", "train", "B")]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a.md": "x"}, "wanted files that end in .jsonl, .parquet, .txt - there are a.md: convert them"),
        ({"a.txt": b"ab\xff"}, "a.txt - wanted UTF-8 text - byte 2 is not"),
        ({"a.txt": b"a\nb\0"}, "a.txt:2 - wanted UTF-8 text - got the character 0"),
        ({"a.jsonl": '{"text": "a"}'.encode("utf-16-le")}, "a.jsonl:1 - wanted UTF-8 text - got the character 0"),
        ({"a.jsonl": '{"text": "a", "label": "\\ud800"}'}, "a.jsonl:1 - wanted a text that UTF-8 can hold as 'label'"),
        ({"a.jsonl": '{"text": "x"}\n{"text": \n'}, "a.jsonl:2 - wanted JSON"),
        ({"a.jsonl": "[1]\n"}, "a.jsonl:1 - wanted a JSON object in each line - got [1]"),
        ({"a.jsonl": '{"txt": "x"}\n'}, "a.jsonl:1 - wanted a value of 'text' - there are ['txt']"),
        ({"a.jsonl": '{"text": 3}\n{"text": "x", "label": 1.5}\n'}, "a.jsonl:1 - wanted a text as 'text' - got 3"),
        ({"a.jsonl": '{"text": "\\ud800"}\n'}, "a.jsonl:1 - wanted a text that UTF-8 can hold as 'text' - character 0 is half of a pair"),
        ({"a.jsonl": '{"text": "x", "label": true}\n'}, "a.jsonl:1 - wanted a name or a whole number as 'label' - got True"),
        ({"a.jsonl": '{"text": "x", "split": "eval"}\n'}, "a.jsonl:1 - wanted a split of train, training, valid, "),
        ({"a.parquet": b"PAR1"}, "a.parquet - wanted a table in Parquet"),
    ],
)
def test_what_is_no_text_is_told_with_its_place(tmp_path: Path, files: dict[str, str | bytes], told: str) -> None:
    with pytest.raises(UserError) as error:
        read(folder(tmp_path, files), ReadSettings())
    assert told in str(error.value)


def test_columns_of_tables_are_told(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": [1.5], "body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet - wanted a column 'text' of text or whole numbers - got double"):
        read(tmp_path, ReadSettings())
    with pytest.raises(UserError, match=r"a.parquet - wanted the column 'book' - there are \['text', 'body'\]"):
        read(tmp_path, ReadSettings(text="body", document="book"))


def test_more_text_than_allowed_is_refused_before_the_rest_is_read(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"a.txt": "x" * 60, "b.txt": "y" * 60})
    with pytest.raises(UserError, match=r"b.txt - wanted 100 bytes of texts at most"):
        read(raw, ReadSettings(most_bytes=100))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    raw = folder(tmp_path / "raw", {"a.txt": "a"})
    (raw / "b.txt").symlink_to("../secret.txt")
    with pytest.raises(UserError, match=r"b.txt - wanted a file within .*raw - got a link that leads out of it"):
        read(raw, ReadSettings())


def test_whole_texts_are_held_out_by_the_seed(tmp_path: Path) -> None:
    raw = folder(tmp_path, {f"{number}.txt": str(number) for number in range(10)})
    documents = read(raw, ReadSettings())

    def drawn(seed: int) -> dict[str, list[str]]:
        return {name: [each.text for each in part] for name, part in split(raw, documents, 0.2, 0.25, _seeded(seed)).items()}

    first = drawn(0)
    assert {name: len(part) for name, part in first.items()} == {"train": 6, "valid": 2, "test": 2}
    assert sorted(text for part in first.values() for text in part) == sorted(map(str, range(10)))
    assert first == drawn(0) != drawn(1)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_splits_that_are_named_stay_and_others_are_drawn(tmp_path: Path) -> None:
    raw = folder(tmp_path / "a", {"train/1.txt": "1", "train/2.txt": "2", "train/3.txt": "3", "valid/4.txt": "4"})
    parts = split(raw, read(raw, ReadSettings()), 0.1, 0.1, _seeded(0))
    assert {name: len(part) for name, part in parts.items()} == {"train": 2, "valid": 1, "test": 1}
    assert parts["valid"][0].text == "4"
    for name, files, told in (
        ("b", {"valid/1.txt": "1"}, "wanted texts of the split train"),
        ("c", {"train/1.txt": "1", "2.txt": "2"}, "2.txt - wanted a split, train, valid or test, of each text"),
        ("d", {"1.txt": "1"}, "wanted two training texts at least, to hold one out - got 1"),
    ):
        raw = folder(tmp_path / name, dict(files))
        with pytest.raises(UserError, match=told):
            split(raw, read(raw, ReadSettings()), 0.1, 0.1, _seeded(0))


def test_generated_texts_are_those_of_their_seed(tmp_path: Path) -> None:
    raw = tmp_path / "t.json"
    raw.write_text('{"generator": "questions", "texts": 8, "sentences": 2}')
    documents = read(raw, ReadSettings())
    assert [each.label for each in documents] == ["person", "place", "number", "time"] * 2
    assert documents == generated.read(raw)
    raw.write_text('{"generator": "questions", "texts": 1, "sentences": 2}')
    with pytest.raises(UserError, match=r"t.json: texts - wanted generator"):
        read(raw, ReadSettings())
