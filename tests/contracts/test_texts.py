"""Which bytes are text, where lines end, and what names something."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.names import name, require_distinct
from stillhouse.contracts.texts import decoded, lines


def test_utf_8_is_text_with_or_without_its_mark() -> None:
    assert decoded("a.txt", "\ufeffä\n".encode()) == decoded("a.txt", "ä\n".encode()) == "ä\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a\nb".encode("utf-16"), r"^a\.txt - wanted UTF-8 text - byte 0 is not: it begins as UTF-16, save it as UTF-8$"),
        ("a\nb".encode("utf-16-le"), r"^a\.txt:1 - wanted UTF-8 text - got the character 0, as UTF-16"),
        (b"a\r\nb\0", r"^a\.txt:2 - wanted UTF-8 text - got the character 0"),
        (b"caf\xe9", r"^a\.txt - wanted UTF-8 text - byte 3 is not$"),
    ],
)
def test_other_bytes_are_refused_with_their_place(content: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told):
        decoded("a.txt", content)


def test_only_ends_of_lines_end_lines() -> None:
    assert lines("a\u2028\x85\x0c\nb\r\n\rc\n") == ["a\u2028\x85\x0c", "b", "", "c"]
    assert lines("a\nb") == ["a", "b"]


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (" a ", "a"),
        (7, "7"),
        (7.0, "7"),
        (-0.0, "0"),
        (" ", None),
        (7.5, None),
        (float("nan"), None),
        (True, None),
        (None, None),
        (b"a", None),
    ],
)
def test_a_name_is_the_same_in_columns_of_any_type(cell: object, named: str | None) -> None:
    assert name(cell) == named


@pytest.mark.parametrize("names", [["a", "b", "a "], ["caf\u00e9", "b", "cafe\u0301"], ["a", ""]])
def test_classes_that_cannot_be_told_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"^t\.csv - wanted (classes whose names can be told apart|a name of each class) - got"):
        require_distinct(names, "t.csv")
    require_distinct(["a", "A", 1, 2], "t.csv")


def test_an_object_of_json_has_one_value_of_each_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": 1}, {"id": 2, "text": "", "id": 3}]')
    with pytest.raises(UserError, match=r"a\.json - wanted JSON - an object has several values of 'id'$"):
        read_json(tmp_path / "a.json")
