"""Every mutated input is accepted or refused in one sentence, and so is every input that once was not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stillhouse.contracts.errors import UserError
from tests.fuzz import children, found
from tests.fuzz.children import answers
from tests.fuzz.fuzz import verdict, verdicts
from tests.fuzz.reader import Reader
from tests.fuzz.readers import READERS

SLOW = {"params-checked": 20, "params-planned": 20, "dvc-graph": 20}
"""Inputs of readers that take long for each."""
MODELS = {"model-knowledge": 3, "predict-knowledge": 3, "model": 40, "predict": 40}
"""The same, by how their names begin."""


def _number(name: str) -> int:
    return SLOW.get(name) or next((count for start, count in MODELS.items() if name.startswith(start)), 200)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_no_mutated_input_fails(name: str, tmp_path: Path) -> None:
    wrong = [(seed, told) for seed, told in verdicts(READERS[name], range(_number(name)), tmp_path) if told.startswith("failed")]
    assert not wrong


@pytest.mark.filterwarnings("ignore")
def test_no_input_that_was_found_fails_again(tmp_path: Path) -> None:
    names = list(found.cases())

    def told(number: int) -> str:
        name, changed = found.cases()[names[number]]()
        return verdict(READERS[name], {**READERS[name].files, **changed}, tmp_path / "input")

    assert not [(names[number], answer) for number, answer in answers(told, range(len(names))) if answer.startswith("failed")]


def _behave(path: Path) -> None:
    """As the first byte of a file says."""
    kind = path.read_bytes()
    if kind == b"u":
        raise UserError(f"{path} - is wrong")
    if kind == b"n":
        raise UserError("is wrong")
    if kind == b"l":
        raise ValueError("is wrong")
    if kind == b"d":
        os._exit(3)
    if kind == b"s":
        time.sleep(60)
    if kind == b"c":
        while True:
            pass
    if kind == b"m":
        bytearray(2 * children.MEMORY)


def test_each_way_to_fail_is_told_and_the_next_input_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "SECONDS", 1.0)
    kinds = [b"a", b"u", b"n", b"l", b"d", b"s", b"c", b"m", b"a"]

    def told(number: int) -> str:
        return verdict(Reader({"f.bin": b""}, _behave), {"f.bin": kinds[number]}, tmp_path / "input")

    given = [answer.split(" (")[0] for _, answer in answers(told, range(len(kinds)))]
    assert given == [
        "accepted",
        "refused",
        "failed: the file is not named: is wrong",
        "failed: ValueError: is wrong",
        "failed: the process died with 3",
        "failed: more than 1 seconds of waiting",
        "failed: more than 1 seconds of processor time",
        "failed: MemoryError: ",
        "accepted",
    ]
