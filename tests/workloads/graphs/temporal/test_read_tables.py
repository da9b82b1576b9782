"""Series in CSV with their edges in every form are read, and what is wrong with one is said with its line."""

from __future__ import annotations

import gzip
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.read import ReadSettings, read

SERIES = "a,b,30\n1,2,3\n4,5,6.5\n"
TRANSPOSED = '"Name",code,1929,1930\n"A, b",7,1,2\nC,8,3,4\n'
SQUARE = "1,0,0.5\n0,0,0\n2,0,0\n"
LIST = "from,to,cost\na,b,2.5\n30,a,1\n"
GAL = "3\na 2\nb 30\nb 1\n30\n30 0\n"


def made(folder: Path, series: str, edges: str, edges_name: str = "edges.csv", **settings: Any) -> Panel:
    for name, content in (("series.csv", series), (edges_name, edges)):
        (folder / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return read(folder, ReadSettings(series="series.csv", edges=edges_name, **settings))


def edges(panel: Panel) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in (panel.step, panel.source, panel.target, panel.weight)), strict=True))


def test_lines_are_steps_and_headings_are_nodes(tmp_path: Path) -> None:
    panel = made(tmp_path, SERIES, SQUARE)
    assert panel.features[..., 0].tolist() == [[1, 4], [2, 5], [3, 6.5]]
    assert (panel.static, panel.channels) == (True, ("value",))
    assert made(tmp_path, SERIES, "1\n", columns="[ac]").features.shape == (1, 2, 1)


def test_lines_are_nodes(tmp_path: Path) -> None:
    panel = made(tmp_path, TRANSPOSED, 'from,to\nC,"A, b"\n', rows="nodes", columns="[0-9]+")
    assert panel.features[..., 0].tolist() == [[1, 2], [3, 4]]
    assert edges(panel) == [(0, 1, 0, 1.0)]
    assert made(tmp_path, TRANSPOSED, "from,to\n", rows="nodes").features[..., 0].tolist() == [[7, 1, 2], [8, 3, 4]]


def test_a_square_of_weights(tmp_path: Path) -> None:
    expected = [(0, 0, 0, 1.0), (0, 0, 2, 0.5), (0, 2, 0, 2.0)]
    assert edges(made(tmp_path, SERIES, SQUARE)) == expected
    assert edges(made(tmp_path, SERIES, SQUARE, "edges.csv.gz")) == expected


@pytest.mark.parametrize("content", [LIST, "\ufeffFrom, To, Cost\n0,1,2.5\n\n2,0,1\n", "weight,target,source\r\n2.5,b,a\r\n1,a,30\r\n"])
def test_a_list_of_edges_by_name_or_position(tmp_path: Path, content: str) -> None:
    assert edges(made(tmp_path, SERIES, content)) == [(0, 0, 1, 2.5), (0, 2, 0, 1.0)]


def test_a_list_with_steps(tmp_path: Path) -> None:
    panel = made(tmp_path, SERIES, "step,from,to\n1,a,b\n0,a,b\n")
    assert edges(panel) == [(0, 0, 1, 1.0), (1, 0, 1, 1.0)]
    assert not panel.static


@pytest.mark.parametrize("content", [GAL, "0 3 shape KEY\n0 2\n1 2\n1 1\n2\n2 0\n\n"])
def test_neighbours_are_edges_into_a_node(tmp_path: Path, content: str) -> None:
    assert edges(made(tmp_path, SERIES, content, "e.gal")) == [(0, 1, 0, 1.0), (0, 2, 0, 1.0), (0, 2, 1, 1.0)]


def test_repeated_and_undirected_edges(tmp_path: Path) -> None:
    content = "from,to,cost\n0,1,2\n0,1,2\n1,0,2\n1,2,3\n"
    with pytest.raises(
        UserError, match=r"edges\.csv:3 - wanted each edge once per step - the edge from node 0 to node 1 .* is .*edges\.csv:2 too"
    ):
        made(tmp_path, SERIES, content)
    assert edges(made(tmp_path, SERIES, content, repeated="once")) == [(0, 0, 1, 2.0), (0, 1, 0, 2.0), (0, 1, 2, 3.0)]
    both = made(tmp_path, SERIES, content, repeated="once", undirected=True)
    assert edges(both) == [(0, 0, 1, 2.0), (0, 1, 0, 2.0), (0, 1, 2, 3.0), (0, 2, 1, 3.0)]
    with pytest.raises(UserError, match=r"edges\.csv:3 - wanted the weight 2 that .* has at .*edges\.csv:2 - got 5"):
        made(tmp_path, SERIES, "from,to,cost\n0,1,2\n0,1,5\n", repeated="once")


REFUSED_SERIES = [
    ("", r"series\.csv - wanted lines of comma-separated values - it is empty"),
    ("a,b\n", r"series\.csv:1 - wanted headings that match anything, and lines below - got \['a', 'b'\] and 0 lines"),
    ("a,b\n1,2\n\n1\n", r"series\.csv:4 - wanted 2 fields, as in the header - got 1"),
    ("a,b\n1,2\n1,x\n", r"series\.csv:3, column 'b' - wanted a finite number - got 'x'"),
    ("a,b\n1,2\n1,1_0\n", r"series\.csv:3, column 'b' - wanted a finite number - got '1_0'"),
    ("a,b\n1,2\n1,\n", r"series\.csv:3, column 'b' - wanted a finite number - got ''"),
    ("a,b\n1,inf\n", r"series\.csv:2, column 'b' - wanted a finite number - got 'inf'"),
    ("a,a\n1,2\n", r"series\.csv - wanted a name for each node - nodes 0 and 1 are both 'a'"),
    ("1.5,2\n1,2\n", r"series\.csv:1 - wanted a heading for each column - got numbers, 1\.5, 2: put a line of names above"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED_SERIES)
def test_a_wrong_series_is_named_by_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(tmp_path, content, LIST)


@pytest.mark.parametrize(("first", "counts"), [("0 1 2", True), ("1999 2000 2001", True), ("2 1 0", False), ("0 1 3", False)])
def test_a_first_column_that_counts_the_lines_is_an_index(tmp_path: Path, first: str, counts: bool) -> None:
    series = "t,a,b,30\n" + "".join(f"{count},1,2,3\n" for count in first.split())
    with pytest.warns(UserWarning, match="'t' is taken for an index") if counts else nullcontext():
        assert len(made(tmp_path, series, LIST).features) == 4 - counts


@pytest.mark.parametrize(
    ("heading", "first", "told"), [("step", "0 1 3", 1), ("date", "2020-01-01 2020-01-02 2020-01-09", 1), ("date", "5 6 7", 0)]
)
def test_lines_that_are_missing_by_an_index_are_told(tmp_path: Path, heading: str, first: str, told: int) -> None:
    series = f"{heading},a,b,30\n" + "".join(f"{count},1,2,3\n" for count in first.split())
    with warnings.catch_warnings(record=True, action="always") as warned:
        assert len(made(tmp_path, series, LIST).features) == 3
    assert sum("series.csv: lines seem to be missing before" in str(each.message) for each in warned) == told


def test_values_whose_errors_cannot_be_counted_are_refused(tmp_path: Path) -> None:
    told = r"wanted values between -1e\+30 and 1e\+30 - got -1e\+38 of node 1 at step 0 in channel 0: take another unit$"
    with pytest.raises(UserError, match=told):
        made(tmp_path, "a,b,30\n1,-1e38,3\n1,1e30,3\n", LIST)


@pytest.mark.parametrize("word", ["#N/A", "<NA>", "-nan", "-1.#IND"])
def test_words_of_other_programs_say_that_a_value_is_missing(tmp_path: Path, word: str) -> None:
    panel = made(tmp_path, f"a,b,30\n1,2,3\n1,{word},3\n1,4,3\n", LIST, missing="interpolate")
    assert panel.features.isnan().nonzero().tolist() == [[1, 1, 0]]


REFUSED_EDGES = [
    ("1,2\n3,4\n", "e.csv", r"e\.csv - wanted a matrix of 3 by 3 numbers, or a header from,to,cost - got 2 lines, the first of 2 fields"),
    ("0,1,2\n0,1\n0,0,0\n", "e.csv", r"e\.csv:2 - wanted a row of 3 numbers - got \['0', '1'\]"),
    ("0,1,2\n0,1,x\n0,0,0\n", "e.csv", r"e\.csv:2, number 3 - wanted a finite number - got 'x'"),
    ("0,1,2\n0,1,-3\n0,0,0\n", "e.csv", r"e\.csv:2, number 3 - wanted a finite weight of at least 0 - got -3"),
    ("from,cost\n", "e.csv", r"e\.csv:1 - wanted the headings from, to and perhaps cost and step - got \['from', 'cost'\]"),
    ("from,to,length\n", "e.csv", r"e\.csv:1 - wanted the headings from, to and perhaps cost and step - got"),
    ("from,to,source\n", "e.csv", r"e\.csv:1 - wanted the headings"),
    ("from,to\na,b\na\n", "e.csv", r"e\.csv:3 - wanted 2 fields, as in the header - got 1"),
    ("from,to\na,b\na,0\n", "e.csv", r"e\.csv:3 - wanted the name of a node of the series - got '0'"),
    ("from,to\n0,1\n3,0\n", "e.csv", r"e\.csv:3 - wanted a node of the series by name or by its position, 0 to 2 - got '3'"),
    ("from,to,cost\na,b,x\n", "e.csv", r"e\.csv:2, column 'weight' - wanted a finite number - got 'x'"),
    ("from,to,step\na,b,0.5\n", "e.csv", r"e\.csv:2 - wanted whole numbers - got \[0\.5\]"),
    ("from,to,step\na,b,2\n", "e.csv", r"e\.csv:2 - wanted a step of 0 to 1 - got 2"),
    ("", "e.gal", r"e\.gal:1 - wanted 3 nodes, as in the series - got ''"),
    ("4\n", "e.gal", r"e\.gal:1 - wanted 3 nodes, as in the series - got '4'"),
    ("3\na 2\nb 30\nb x\n", "e.gal", r"e\.gal:4 - wanted a node and how many neighbours it has - got 'b' and 'x'"),
    ("3\na 2\nb\n", "e.gal", r"e\.gal:2 - wanted 2 neighbours of 'a' - got 1, and the end"),
    ("3\na 1\nb\nb 0\n30 1\nq\n", "e.gal", r"e\.gal:6 - wanted the name of a node of the series - got 'q'"),
    ("3\na 0\nb 0\nb 0\n", "e.gal", r"e\.gal - wanted each of the 3 nodes once - got 3 of which 2 differ"),
    ("3\na 0\nb 0\n", "e.gal", r"e\.gal - wanted each of the 3 nodes once - got 2 of which 2 differ"),
    ("3\na 2\nb b\nb 0\n30 0\n", "e.gal", r"e\.gal:3 - wanted each edge once per step"),
]


@pytest.mark.parametrize(("content", "name", "message"), REFUSED_EDGES)
def test_wrong_edges_are_named_by_line(tmp_path: Path, content: str, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(tmp_path, SERIES, content, name)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"series\.csv:1 - wanted headings that match q, and lines below - got \['a', 'b', '30'\] and 2 lines"
    ):
        made(tmp_path, SERIES, LIST, columns="q")
    (tmp_path / "labels.parquet").touch()
    with pytest.raises(UserError, match=r"labels\.parquet - wanted labels beside a series in Parquet alone - the series is series\.csv"):
        made(tmp_path, SERIES, LIST, labels="labels.parquet")
    with pytest.raises(UserError, match=r"wanted the file nowhere\.csv - there are \['edges\.csv', 'labels\.parquet', 'series\.csv'\]"):
        read(tmp_path, ReadSettings(series="series.csv", edges="nowhere.csv"))
    with pytest.raises(ValidationError, match="wanted a regular expression - missing"):
        ReadSettings(columns="(")
    (tmp_path / "series.csv").write_text('a,b\n1,"' + "2" * 200_000 + '"\n')
    with pytest.raises(UserError, match=r"series\.csv:2 - wanted comma-separated values - field larger than field limit"):
        read(tmp_path, ReadSettings(series="series.csv", edges="edges.csv"))
