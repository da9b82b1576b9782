"""Files come back as they were written, byte for byte the same, and never half written."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.contracts.files import read_json, write_json
from stillhouse.training.files import read_parquet, table, write_parquet


def columns() -> dict[str, object]:
    return {
        "node": torch.tensor([3, 1, 2]),
        "score": np.array([0.5, -1.0, 2.0], dtype=np.float32),
        "name": ["a", "b", "ä"],
        "known": torch.tensor([True, False, True]),
        "pair": torch.tensor([[1, 2], [3, 4], [5, 6]]),
    }


def test_parquet_comes_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "deep" / "table.parquet", columns())
    read = read_parquet(tmp_path / "deep" / "table.parquet")
    assert list(read) == ["node", "score", "name", "known", "pair"]
    assert read["name"] == ["a", "b", "ä"]
    assert torch.equal(read["pair"], torch.tensor([[1, 2], [3, 4], [5, 6]]))
    assert read["node"].dtype == torch.int64
    assert read["score"].dtype == torch.float32
    assert read["known"].tolist() == [True, False, True]


def test_an_empty_table_comes_back(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t", {"node": torch.empty(0, dtype=torch.int64), "pair": torch.empty(0, 2, dtype=torch.int32)})
    read = read_parquet(tmp_path / "t")
    assert read["node"].shape == (0,)
    assert read["pair"].shape == (0, 2)


def test_same_values_same_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a", columns())
    write_parquet(tmp_path / "b", columns())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_json(tmp_path / "c", {"b": 1, "a": [1.5]})
    write_json(tmp_path / "d", {"a": [1.5], "b": 1})
    assert (tmp_path / "c").read_bytes() == (tmp_path / "d").read_bytes()


def test_unequal_columns_are_refused_with_their_lengths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"wanted columns of one length - got \{'a': 2, 'b': 1\}"):
        write_parquet(tmp_path / "t", {"a": [1, 2], "b": [1]})


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_json_comes_back(value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / "value.json", value)
        assert read_json(Path(folder) / "value.json") == value


def test_what_is_no_json_is_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"a": 1,\n nonsense}')
    with pytest.raises(ValueError, match=r"bad\.json:2 - wanted JSON"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "nan.json", float("nan"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "value.json", 1)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_json(tmp_path / "value.json", 2)
    assert json.loads((tmp_path / "value.json").read_text()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["value.json"]


@pytest.mark.parametrize("kind", ["int8", "int64", "uint16", "float16", "float32", "float64", "bool", "datetime64[s]"])
def test_numbers_become_the_arrays_that_arrow_makes_of_them(kind: str) -> None:
    values = np.arange(12).astype(kind)
    for array in (values, values[::3], values[:0]):
        assert table({"x": array}).column("x").combine_chunks().equals(pa.array(array))


def test_what_is_no_number_is_counted_as_it_is() -> None:
    assert table({"x": np.array([1.0, np.nan])}).column("x").null_count == 0
