"""Spellings of splits, and names that a table has for numbers."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from stillhouse.contracts.class_names import class_names
from stillhouse.contracts.splits import split_of, split_of_file


@pytest.mark.parametrize(
    ("name", "split"), [("Train", "train"), ("DEV", "valid"), ("validation", "valid"), ("Testing", "test"), ("eval", None), (3, None)]
)
def test_a_split_is_known_in_any_spelling(name: object, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(("stem", "split"), [("train-00000-of-00012", "train"), ("val_3", "valid"), ("Test", "test"), ("wiki.train", None)])
def test_the_number_of_a_file_is_no_part_of_its_split(stem: str, split: str | None) -> None:
    assert split_of_file(stem) == split


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"info": {"features": {"label": {"names": ["cat", "dog"]}}}}, ("cat", "dog")),
        ({"info": {"features": {"label": {"names": ["cat", "cat"]}}}}, ()),
        ({"info": {"features": {"label": ["cat"]}}}, ()),
        ([], ()),
        ("no JSON", ()),
    ],
)
def test_names_of_numbers_are_those_of_the_metadata(said: Any, names: tuple[str, ...]) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    assert class_names(pa.schema([], {"huggingface": text}), "label") == names
    assert class_names(pa.schema([]), "label") == ()
