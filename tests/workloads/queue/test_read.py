"""Every form of raw data is read, and what is wrong with it is said with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.queue.read import read

HEAD = ",time,callrate,Q=0,Q=1,Q=2,Q=3\n"


def written(folder: Path, text: str) -> Path:
    (folder / "calls.csv").write_text(text)
    return folder / "calls.csv"


def tabled(folder: Path, rows: list[dict[str, Any]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), folder / "t.parquet")
    return folder / "t.parquet"


def test_a_csv_of_call_rates(tmp_path: Path) -> None:
    raw = written(tmp_path, HEAD + "0,1,0,0,0,0,0\n1,2,10,5,3,1,1\n2,3,20,4,4,4,8\n")
    source = read(raw, None)
    assert source.load.tolist() == [10, 20]
    assert source.counts.tolist() == [[5, 3, 1, 1], [4, 4, 4, 8]]
    assert source.full.tolist() == [0.1, 0.4]
    assert source.heavy is None


def test_what_lies_beyond_the_last_state_counts_there_and_missing_states_are_empty(tmp_path: Path) -> None:
    raw = written(tmp_path, HEAD + "1,2,10,5,3,1,1\n")
    assert read(raw, 3).counts.tolist() == [[5, 3, 2]]
    assert read(raw, 3).full.tolist() == [0.2]
    assert read(raw, 5).counts.tolist() == [[5, 3, 1, 1, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"calls\.csv:1 - wanted columns callrate, Q=0, .* - there is no callrate"),
        ("callrate,Q=0,Q=2\n", r"calls\.csv:1 - .* there is no Q=1"),
        (HEAD + "0,1,5,1,1,1,1\n1,2,10,5,x,1,1\n", r"calls\.csv:3 - wanted a number from 0 in column Q=1, .* - got 'x'"),
        (HEAD + "1,2,10,5,0.5,1,1\n", r"calls\.csv:2 - .* column Q=1, whole for a count - got '0\.5'"),
        (HEAD + "1,2,-10,5,0,1,1\n", r"calls\.csv:2 - .* column callrate"),
        (HEAD + "1,2,10,5,5,3,1,1\n", r"calls\.csv:2 - wanted 7 fields, as in the header - got 8"),
        (HEAD + "1,2,10,5,1_0,1,1\n", r"calls\.csv:2 - wanted a number from 0 in column Q=1, .* - got '1_0'"),
        (HEAD + "1,2,10,5\n", r"calls\.csv:2 - .* column Q=1, .* - got None"),
    ],
)
def test_what_is_no_observation_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(written(tmp_path, text), None)


def test_a_parquet_table_of_loads_states_and_counts(tmp_path: Path) -> None:
    rows = [
        {"load": 3.0, "state": 0, "count": 5, "sample": 1},
        {"load": 1.5, "state": 1, "count": 7, "sample": 0},
        {"load": 3.0, "state": 2, "count": 5, "sample": 1},
        {"load": 3.0, "state": 2, "count": 1, "sample": 0},
    ]
    source = read(tabled(tmp_path, rows), None)
    assert source.load.tolist() == [1.5, 3, 3]
    assert source.counts.tolist() == [[0, 7, 0], [0, 0, 1], [5, 0, 5]]
    assert source.full.tolist() == [0, 1, 0.5]
    assert source.heavy is None
    once = read(tabled(tmp_path, [{name: row[name] for name in ("load", "state", "count")} for row in rows]), None)
    assert once.counts.tolist() == [[0, 7, 0], [5, 0, 6]]


def test_a_split_says_what_is_heavy(tmp_path: Path) -> None:
    rows = [{"load": load, "state": 1, "count": 1, "split": split} for load, split in ((1, "light"), (2, "heavy"), (3, "light"))]
    source = read(tabled(tmp_path, rows), None)
    assert source.heavy is not None
    assert dict(zip(source.load.tolist(), source.heavy.tolist(), strict=True)) == {1.0: False, 2.0: True, 3.0: False}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"load": 1.0, "state": 0}, r"t\.parquet - wanted columns load, state, count - there is no \['count'\]"),
        ({"load": 0.0, "state": 0, "count": 1}, r"t\.parquet, row 0 - wanted a load above 0"),
        ({"load": 1.0, "state": -1, "count": 1}, r"row 0 - .* got .*'state': -1"),
        ({"load": 1.0, "state": 0, "count": 1.5}, r"t\.parquet - wanted count in whole numbers - got double"),
        ({"load": 1.0, "state": 0, "count": 1, "split": "test"}, r"row 0 - .* a split of light or heavy"),
        ({"load": None, "state": 0, "count": 1}, r"row 0 - wanted a load above 0"),
    ],
)
def test_a_row_that_is_no_observation_is_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tabled(tmp_path, [row]), None)


def test_a_generator_and_the_committed_one(tmp_path: Path) -> None:
    source = read(Path(__file__).parents[3] / "data" / "raw" / "queue.json", None)
    assert source.counts.shape == (200, 20)
    assert source.heavy is not None
    assert (source.load[~source.heavy].max().item(), source.load[source.heavy].min().item()) == (15, 31)
    assert torch.equal(read(Path(__file__).parents[3] / "data" / "raw" / "queue.json", 20).counts, source.counts)
    (tmp_path / "g.json").write_text(json.dumps({"generator": "queue", "servers": 0}))
    with pytest.raises(UserError, match=r"g\.json: servers - wanted the settings of the generator queue - .* greater than 0"):
        read(tmp_path / "g.json", None)
    (tmp_path / "g.json").write_text(json.dumps({"generator": "queue"}))
    with pytest.raises(UserError, match=r"g\.json: states - wanted 30, .* - got 20"):
        read(tmp_path / "g.json", 30)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UserError, match=r"a\.txt - wanted a \.csv, \.parquet or \.json of queue observations - it is none"):
        read(tmp_path / "a.txt", None)
    with pytest.raises(UserError, match=r"b\.csv - wanted .* - there is nothing"):
        read(tmp_path / "b.csv", None)


def test_an_empty_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no callrate"):
        read(written(tmp_path, ""), None)


def test_a_state_too_high_for_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wanted at most 100000000 counts"):
        read(tabled(tmp_path, [{"load": 1.0, "state": 2**50, "count": 1}]), None)
