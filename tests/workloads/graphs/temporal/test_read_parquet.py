"""Series and edges in Parquet are read, of one graph and of many, and what is wrong with one is said with its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.read import ReadSettings, read

Columns = dict[str, Any]
SERIES: Columns = {"step": [7, 8, 7, 8], "node": [30, 30, 4, 4], "x": [1, 2, 3, 4], "z": [0.5, 0.5, 0.5, 1.5]}
EDGES: Columns = {"source": [30, 4], "target": [4, 30], "step": [8, 7], "weight": [2.0, 3.0]}
GRAPHS: Columns = {
    "graph": ["q", "q", "p", "p", "p", "q"],
    "node": ["b", "b", "c", "c", "c", "a"],
    "step": [1, 2, 5, 6, 7, 2],
    "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
}


def made(folder: Path, series: Columns, edges: Columns, labels: Columns | None = None) -> Panel:
    for name, columns in (("series", series), ("edges", edges), ("labels", labels)):
        if columns is not None:
            parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    return read(folder, ReadSettings(labels="labels.parquet" if labels is not None else None))


def edges(panel: Panel) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in (panel.step, panel.source, panel.target, panel.weight)), strict=True))


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({"node": [1.0, 1.0, float("nan"), float("nan")]}, r"series\.parquet, row 2 - wanted a name of the node - got nan"),
        ({"step": [0, 3600, 0, 3600]}, r"wanted steps that count by 1 - got some that count by 3600: divide 'step' by it"),
        ({"step": pa.array([0, 1, 0, 1], pa.timestamp("s"))}, r"wanted numbers or text in 'step' - got timestamp\[\w+\]: number the steps"),
        ({"x": [True] * 4}, r"wanted numbers or text in 'x' - got bool$"),
    ],
)
def test_columns_that_say_nothing_of_the_kind_are_refused(tmp_path: Path, column: Columns, told: str) -> None:
    with pytest.raises(UserError, match=told):
        made(tmp_path, {**SERIES, **column}, {"source": [], "target": []})


def test_no_edges_have_no_type_and_large_numbers_are_compared_as_such(tmp_path: Path) -> None:
    assert not edges(made(tmp_path, SERIES, {"source": [], "target": []}))
    nodes = [2**62, 2**62, 2**62 + 1, 2**62 + 1]
    panel = made(tmp_path, {**SERIES, "node": pa.array(nodes, pa.uint64())}, {"source": nodes[:1], "target": nodes[2:3]})
    assert edges(panel) == [(0, 0, 1, 1)]


def test_one_graph_with_steps_and_weights(tmp_path: Path) -> None:
    panel = made(tmp_path, SERIES, EDGES)
    assert panel.channels == ("x", "z")
    assert panel.features.tolist() == [[[3, 0.5], [4, 1.5]], [[1, 0.5], [2, 0.5]]]
    assert edges(panel) == [(0, 0, 1, 3.0), (1, 1, 0, 2.0)]
    assert (panel.graph.tolist(), panel.length.tolist(), panel.labels, panel.static) == ([0, 0], [2], None, False)


def test_edges_without_steps_hold_at_all(tmp_path: Path) -> None:
    panel = made(tmp_path, SERIES, {"source": [30], "target": [4]})
    assert edges(panel) == [(0, 1, 0, 1.0)]
    assert panel.static


def test_graphs_of_unequal_lengths_end_together(tmp_path: Path) -> None:
    series = {name: [value for row, value in enumerate(column) if row != 5] for name, column in GRAPHS.items()}
    series = {
        "graph": [*series["graph"], "q", "q"],
        "node": [*series["node"], "a", "a"],
        "step": [*series["step"], 2, 1],
        "x": [*series["x"], 6, 7],
    }
    labels = {"graph": ["q", "p"], "label": [0, 2]}
    panel = made(tmp_path, series, {"source": ["a", "b", "c"], "target": ["b", "a", "c"], "step": [1, 2, 5]}, labels)
    assert panel.features[..., 0].tolist() == [[3, 4, 5], [0, 7, 6], [0, 1, 2]]
    assert edges(panel) == [(0, 0, 0, 1.0), (1, 1, 2, 1.0), (2, 2, 1, 1.0)]
    assert (panel.graph.tolist(), panel.length.tolist()) == ([0, 1, 1], [3, 2])
    assert panel.labels is not None
    assert panel.labels.tolist() == [2, 0]


REFUSED_SERIES = [
    ({"x": None, "z": None}, r"wanted a column of values beside step, node and graph - there is none"),
    ({"node": None}, r"wanted columns \['step', 'node'\] - got \['step', 'x', 'z'\]"),
    ({"x": [1, None, 3, 4]}, r"row 1 - wanted a value of 'x' - there is none"),
    ({"x": [1, 2, float("inf"), 4]}, r"row 2 - wanted a finite number as 'x' - got inf"),
    ({"x": ["a", "b", "c", "d"]}, r"wanted 'x' in numbers - got text"),
    ({"step": [7.0, 8.0, 7.0, 8.0]}, r"wanted 'step' in whole numbers - got numbers with a fraction"),
    ({"step": [7, 8, 8, 8]}, r"wanted one row of node 4 at step 7 - got 0"),
    ({"step": [7, 8, 7, 9]}, r"wanted one row of node 4 at step 8 - got 0"),
    ({"node": [30, 30, 30, 4]}, r"wanted one row of node 4 at step 7 - got 0"),
    ({"graph": [1, 2, 1, 1]}, r"row 1 - wanted node 30 in one graph - got 1 and 2"),
]


def changed(columns: Columns, change: dict[str, list[Any] | None]) -> Columns:
    return {name: column for name, column in (columns | change).items() if column is not None}


@pytest.mark.parametrize(("change", "message"), REFUSED_SERIES)
def test_a_wrong_series_is_named_by_row(tmp_path: Path, change: dict[str, list[Any] | None], message: str) -> None:
    with pytest.raises(UserError, match=rf"series\.parquet(, )?.*{message}"):
        made(tmp_path, changed(SERIES, change), EDGES)


def test_a_node_twice_at_a_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wanted one row of node 4 at step 8 - got 2"):
        made(tmp_path, {name: [*column, column[-1]] for name, column in SERIES.items()}, EDGES)


def test_an_empty_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"series\.parquet - wanted rows - there are none"):
        made(tmp_path, {name: pa.array([], pa.int64()) for name in SERIES}, EDGES)  # type: ignore[misc]


REFUSED_EDGES = [
    ({"wieght": [1, 1]}, r"wanted columns \['source', 'target'\] and perhaps \['step', 'weight'\] - got"),
    ({"source": ["30", "4"]}, r"wanted 'source' as whole numbers, like the nodes of the series - got text"),
    ({"target": [4, 31]}, r"row 1 - wanted as target a node of the series - got 31"),
    ({"step": [8, 9]}, r"row 1 - wanted a step of the graph, as in the series - got 9"),
    ({"weight": [1.0, -1.0]}, r"row 1 - wanted a finite weight of at least 0 - got -1"),
    ({"source": [30, 30], "target": [4, 4], "step": [8, 8]}, r"row 1 - wanted each edge once per step - .* is .*row 0 too"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED_EDGES)
def test_wrong_edges_are_named_by_row(tmp_path: Path, change: dict[str, list[Any] | None], message: str) -> None:
    with pytest.raises(UserError, match=rf"edges\.parquet(, )?.*{message}"):
        made(tmp_path, SERIES, changed(EDGES, change))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"graph": [0], "label": [-1]}, r"row 0 - wanted a label of at least 0 - got -1"),
        ({"graph": [0, 1], "label": [0, 0]}, r"wanted one row for each of the 1 graphs of the series - got 2 rows of 2"),
        ({"graph": [0, 0], "label": [0, 1]}, r"wanted one row for each of the 1 graphs of the series - got 2 rows of 1"),
        ({"graph": ["a"], "label": [0]}, r"wanted one row for each of the 1 graphs of the series - got 1 rows of 1"),
        ({"graph": [0], "label": ["a"]}, r"wanted 'label' in whole numbers - got text"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, labels: Columns, message: str) -> None:
    with pytest.raises(UserError, match=rf"labels\.parquet(, )?.*{message}"):
        made(tmp_path, SERIES, EDGES, labels)


def test_no_parquet_is_refused(tmp_path: Path) -> None:
    for name in ("series", "edges"):
        (tmp_path / f"{name}.parquet").write_text("no table")
    with pytest.raises(UserError, match=r"series\.parquet - wanted a table in Parquet - "):
        read(tmp_path, ReadSettings())
