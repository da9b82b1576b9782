"""Records wait in files without losing anything, and a log becomes a history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.contracts.errors import UserError
from stillhouse.record import run_record
from stillhouse.record.run_record import LARGEST, Closing, Execution, Item, Planned, RunRecord, flat, history, read

TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TIME = st.integers(0, 2**45)
STATUS = st.sampled_from(["FINISHED", "FAILED", "KILLED"])
ITEM = st.builds(Item, TEXT, TEXT, st.booleans())
RECORD = st.builds(
    RunRecord,
    id=TEXT,
    stage=TEXT,
    execution=st.builds(Execution, TEXT, TEXT, st.booleans()),
    status=STATUS,
    started=TIME,
    ended=TIME,
    params=st.dictionaries(TEXT, TEXT, max_size=3),
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    history=st.lists(st.tuples(TEXT, NUMBER, TIME, TIME), max_size=3),
    metrics=st.dictionaries(TEXT, NUMBER, max_size=3),
    inputs=st.lists(ITEM, max_size=3),
    output=st.none() | ITEM,
    beside=st.lists(ITEM, max_size=3),
    usage=st.lists(st.tuples(TEXT, NUMBER, TIME, TIME), max_size=3),
    files=st.dictionaries(TEXT, TEXT, max_size=3),
)
PLANNED = st.builds(Planned, TEXT, st.lists(TEXT, max_size=3), TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
CLOSING = st.builds(Closing, key=TEXT, status=STATUS, ended=TIME, stages=st.dictionaries(TEXT, PLANNED, max_size=3))


@given(RECORD | CLOSING)
def test_what_is_written_is_read(tmp_path_factory, told: RunRecord | Closing):
    path = tmp_path_factory.getbasetemp() / "outbox" / "record.json"
    run_record.write(told, path)
    assert run_record.read(path) == told
    assert [file.name for file in path.parent.iterdir()] == ["record.json"], "nothing half-written is left"


def test_nested_settings_become_dotted_names():
    values = {"fit": {"epochs": 3, "clip": None}, "losses": [{"loss": "logits"}, {"loss": "pearson"}]}
    assert dict(flat(values)) == {"fit.epochs": "3", "fit.clip": "None", "losses.0.loss": "logits", "losses.1.loss": "pearson"}


def log(folder: Path, *records: dict) -> Path:
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps({"time": 1.5 + index, **record}) + "\n" for index, record in enumerate(records)))
    return path


def test_steps_are_epochs_or_trials_or_lines(tmp_path: Path):
    assert history(log(tmp_path, {"epoch": 4, "epochs": 9, "loss": 0.5})) == [("loss", 0.5, 1500, 4)]
    assert history(log(tmp_path, {"trial": 2, "cost": 7})) == [("cost", 7.0, 1500, 2)]
    assert history(log(tmp_path, {"rows": 1}, {"rows": 2})) == [("rows", 1.0, 1500, 0), ("rows", 2.0, 2500, 1)]


def test_of_an_epoch_that_was_told_twice_the_last_word_counts(tmp_path: Path):
    path = log(tmp_path, {"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.8}, {"epoch": 2, "loss": 0.7})
    assert history(path) == [("loss", 0.9, 1500, 1), ("loss", 0.7, 3500, 2)]


def test_only_finite_numbers_are_metrics(tmp_path: Path):
    assert history(log(tmp_path, {"epoch": 1, "loss": float("nan"), "name": "x", "kept": [1], "mrr": 1})) == [("mrr", 1.0, 1500, 1)]


def test_a_line_that_a_killed_process_left_unfinished_is_passed_over(tmp_path: Path):
    path = log(tmp_path, {"epoch": 1, "loss": 0.9})
    path.write_text(path.read_text() + '{"time": 3, "epo')
    assert history(path) == [("loss", 0.9, 1500, 1)]
    assert history(tmp_path / "none.jsonl") == []


def test_what_is_too_large_for_a_record_is_not_read(tmp_path: Path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match="wanted a record of at most"):
        read(tmp_path / "a.json")
