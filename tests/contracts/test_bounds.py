"""What comes from outside is read within bounds, and what is said of it is bounded too."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from stillhouse.contracts import parquets, raw, sums
from stillhouse.contracts.errors import LINE, LINES, UserError
from stillhouse.contracts.parquets import read_parquet
from stillhouse.contracts.raw import below, content, unpacked
from stillhouse.contracts.yamls import DEPTH, require_plain
from stillhouse.workloads.pictures._shared import picture_files


def test_a_message_is_bounded_where_it_is_made() -> None:
    assert str(UserError("a.csv:1 - wanted x - got y")) == "a.csv:1 - wanted x - got y"
    long = str(UserError("a.csv:1 - got " + "x" * 10**6))
    assert (long[:20], len(long)) == ("a.csv:1 - got xxxxxx", LINE - 1)
    many = str(UserError("\n".join(["line"] * 1000))).split("\n")
    assert (len(many), many[-1]) == (LINES + 1, f"and {1000 - LINES} lines more")


def test_a_file_larger_than_wanted_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert content(tmp_path / "x", most=5) == b"12345"
    with pytest.raises(UserError, match=r"x - wanted a file of 4 bytes at most - got 5$"):
        content(tmp_path / "x", most=4)


def test_what_gzip_packed_is_bounded_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "LARGEST", 5)
    assert unpacked("x.gz", gzip.compress(b"123") + gzip.compress(b"45")) == b"12345"
    with pytest.raises(UserError, match=r"^x\.gz - wanted at most 5 bytes when unpacked - got more$"):
        unpacked("x.gz", gzip.compress(b"123456"))


def test_a_table_that_expands_is_refused_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(pa.table({"a": ["x" * 1000] * 1000}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 10_000
    assert read_parquet(tmp_path / "t.parquet").num_rows == 1000
    monkeypatch.setattr(parquets, "BYTES", 100_000)
    with pytest.raises(UserError, match=r"t\.parquet - wanted a table of at most \d+ rows and 100000 bytes - got 1000 rows"):
        read_parquet(tmp_path / "t.parquet")


def test_categories_and_views_are_plain_text_and_numbers(tmp_path: Path) -> None:
    words = pa.array(["b", None, "a"])
    columns = {"a": words.dictionary_encode(), "b": pa.array([7, 7, None]).dictionary_encode(), "c": words.cast(pa.string_view())}
    whole = pa.table(columns).replace_schema_metadata({"k": "v"})
    for table in (whole, whole.slice(0, 0)):
        parquet.write_table(table, tmp_path / "t.parquet")
        found = read_parquet(tmp_path / "t.parquet")
        assert (found.schema.types, found.to_pydict()) == ([pa.string(), pa.int64(), pa.string()], table.to_pydict())
        assert (found.schema.metadata or {})[b"k"] == b"v"


def test_columns_of_one_name_and_text_that_is_none_are_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet - wanted columns with a name of their own - there are several \['a'\]$"):
        read_parquet(tmp_path / "t.parquet")
    parquet.write_table(pa.table({"a": pa.array([b"\xe1"]).view(pa.string())}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet - wanted a table in Parquet - .*UTF8"):
        read_parquet(tmp_path / "t.parquet")


def test_yaml_is_plain_up_to_a_depth_and_a_number_of_values() -> None:
    require_plain("[" * DEPTH + "]" * DEPTH, "x.yaml", 1000)
    require_plain("a: [", "x.yaml", 1000)
    with pytest.raises(UserError, match=r"^x\.yaml - wanted YAML nested at most 50 deep"):
        require_plain("[" * (DEPTH + 1), "x.yaml", 1000)
    with pytest.raises(UserError, match=r"^x\.yaml - wanted at most 10 values and keys - got more$"):
        require_plain("[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]", "x.yaml", 10)


def test_a_folder_is_looked_at_up_to_a_number_of_files(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").touch()
    assert len(below(tmp_path, 3)) == 3
    with pytest.raises(UserError, match=re.escape(str(tmp_path)) + " - wanted .* at most 2 files and folders - got more"):
        below(tmp_path, 2)


def test_a_folder_that_is_a_link_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "raw/cats").mkdir(parents=True)
    (tmp_path / "raw/.hidden").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    assert len(below(tmp_path / "link", 9)) == 2
    (tmp_path / "raw/dogs").symlink_to(tmp_path / "raw/cats")
    with pytest.raises(UserError, match="dogs - wanted a folder - got a link to one, which is not followed"):
        below(tmp_path / "raw", 9)


def test_folders_of_pictures_and_of_models_are_looked_at_up_to_a_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    for module, look in ((picture_files, picture_files.picture_files), (sums, sums.write)):
        monkeypatch.setattr(module, "MOST", 3)
        look(tmp_path)
        (tmp_path / "SHA256SUMS").unlink(missing_ok=True)
        monkeypatch.setattr(module, "MOST", 2)
        with pytest.raises(UserError, match=r"wanted a folder that holds at most 2 files and folders - got more$"):
            look(tmp_path)
