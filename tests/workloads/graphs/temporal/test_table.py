"""A raw series in a table is forecast as the prepared one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from stillhouse.contracts.errors import UserError
from stillhouse.training.score import passes
from stillhouse.training.table import conform, predictions
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.table import TABLE
from tests.workloads.graphs.temporal.raws import Raw, one_graph, several_graphs

WINDOW, HORIZON = 4, 2
CASES = [
    {"static": True, "edge_scale": "minmax", "log": True},
    {"static": False, "edge_scale": "log", "log": False, "targets": 2},
    {"static": False, "edge_scale": "none", "scale": "standard"},
]


def prepared(raw: Raw, tmp_path: Path, **settings: Any) -> Path:
    """Prepared data, and beside them the context."""
    block = WORKLOAD.prepare_settings.model_validate(raw.settings(**settings))
    WORKLOAD.prepare(block, raw.write(tmp_path / "raw"), tmp_path / "prepared", torch.Generator())
    (tmp_path / "context").mkdir()
    TABLE.keep(tmp_path / "prepared", tmp_path / "context")
    return tmp_path / "prepared"


def rows(raw: Raw, first: int, last: int) -> pa.Table:
    """The steps of a raw graph from `first` to before `last`, newest first, as a table."""
    chosen = ((raw.series["step"] >= first) & (raw.series["step"] < last)).nonzero().flatten().flip(0)
    columns: dict[str, Any] = {name: raw.series[name][chosen].tolist() for name in ("step", "node", "x", "y")}
    if "step" in raw.edges:
        events = [
            ((raw.edges["step"] == step) & (raw.edges["source"] == node))
            for step, node in zip(columns["step"], columns["node"], strict=True)
        ]
        columns["targets"] = [raw.edges["target"][mask].tolist() for mask in events]
        columns["weights"] = [raw.edges["weight"][mask].tolist() for mask in events]
    return pa.table(columns)


@pytest.mark.parametrize("case", CASES)
def test_forecasts_are_those_of_the_test_windows(tmp_path: Path, case: dict[str, Any]) -> None:
    case = dict(case)
    raw = one_graph(3, static=case.pop("static"))
    folder = prepared(raw, tmp_path, window=WINDOW, horizon=HORIZON, **case)
    data = WORKLOAD.load(WORKLOAD.data_settings(), folder, test=True)
    torch.manual_seed(0)
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "time_then_graph", "convolution": "gine", "width": 4})
    model = WORKLOAD.model(settings, data.sizes, None)
    assert data.test is not None
    [(output, batch)] = passes(WORKLOAD, model, data.test)
    wanted = batch.raw(output.prediction).double()
    first = 30 - HORIZON - WINDOW + 1 - batch.windows  # the last windows of thirty steps are the test's
    got = pa.concat_tables(predictions(TABLE, WORKLOAD, model, tmp_path / "context", rows(raw, first, 30 - HORIZON)))
    names = ["x", "y"][: case.get("targets", 1)]
    assert got.column_names == ["step", "node", *names]
    assert got.column("node").to_pylist() == list(range(12)) * batch.windows
    assert got.column("step").to_pylist() == [first + WINDOW - 1 + HORIZON + window for window in range(batch.windows) for _ in range(12)]
    for place, name in enumerate(names):
        assert got.column(name).to_pylist() == pytest.approx(wanted[:, place].tolist(), rel=1e-4, abs=1e-5)


def test_many_windows_are_asked_in_parts(tmp_path: Path) -> None:
    raw = one_graph(0, nodes=3, steps=60, static=True)
    data = WORKLOAD.load(WORKLOAD.data_settings(), prepared(raw, tmp_path, window=WINDOW))
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "time_then_graph", "width": 4})
    parts = list(predictions(TABLE, WORKLOAD, WORKLOAD.model(settings, data.sizes, None), tmp_path / "context", rows(raw, 0, 60)))
    assert [part.num_rows for part in parts] == [32 * 3, 25 * 3]
    assert pa.concat_tables(parts).column("step").to_pylist()[::3] == list(range(4, 61))
    far = rows(raw, 0, 60)
    far = far.set_column(far.column_names.index("x"), "x", pa.array([1e300] * far.num_rows))
    with pytest.raises(UserError, match=r"^wanted values of the size of those of training - got some for which 'x' is no finite number$"):
        list(predictions(TABLE, WORKLOAD, WORKLOAD.model(settings, data.sizes, None), tmp_path / "context", far))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"node": 13}, r"^wanted the 12 nodes of the training graph, 0 to 11, at every step - got node 13$"),
        ({"node": 2}, r"^wanted one row for each node and step - got 48 rows of 12 nodes and the steps 0 to 3$"),
        ({"step": 10**15}, r"^wanted one row for each node and step - got 48 rows of 12 nodes and the steps 0 to 1000000000000000$"),
        ({"x": -1.0}, r"^row 0 - wanted values above -1, of which log\(1 \+ x\) exists - got \[-1\.0, "),
        ({"y": float("nan")}, r"^row 0 - wanted values above -1"),
    ],
)
def test_what_is_no_window_of_the_graph_is_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    raw = one_graph(1, static=True)
    prepared(raw, tmp_path, window=WINDOW, log=True)
    table = rows(raw, 0, WINDOW)
    for name, value in change.items():
        column = table.column(name).to_pylist()
        table = table.set_column(table.column_names.index(name), name, pa.array([value, *column[1:]], table.column(name).type))
    with pytest.raises(UserError, match=complaint):
        TABLE.ask(tmp_path / "context", table)
    with pytest.raises(UserError, match=r"^wanted the 4 steps of a window at least - got 3$"):
        TABLE.ask(tmp_path / "context", rows(raw, 0, WINDOW - 1))


@pytest.mark.parametrize(
    ("targets", "weights", "complaint"),
    [
        ([77], [1.0], r"^row 0 - wanted targets that are nodes of the table - one is not$"),
        ([1, 1], [1.0, 1.0], r"^row 0 - wanted each target once - one is there twice$"),
        ([1], [], r"^wanted as many weights as targets in every row - got others$"),
        ([1], [-1.0], r"^row 0 - wanted weights that are finite and at least 0 - got -1$"),
        ([None], [1.0], r"^wanted lists without gaps in columns 'targets' and 'weights' - got a missing value in one$"),
    ],
)
def test_edges_that_are_none_are_refused(tmp_path: Path, targets: list[Any], weights: list[float], complaint: str) -> None:
    raw = one_graph(1)
    prepared(raw, tmp_path, window=WINDOW)
    table = rows(raw, 0, WINDOW)
    for name, value in (("targets", targets), ("weights", weights)):
        column = [value, *table.column(name).to_pylist()[1:]]
        table = table.set_column(table.column_names.index(name), name, pa.array(column))
    with pytest.raises(UserError, match=complaint):
        TABLE.ask(tmp_path / "context", conform(table, TABLE.example(tmp_path / "context").schema))


def test_models_of_whole_graphs_say_that_they_read_no_tables(tmp_path: Path) -> None:
    prepared(several_graphs(0, [(3, 6)] * 12), tmp_path)
    with pytest.raises(UserError, match=r"^models that tell the classes of whole graphs read no tables$"):
        TABLE.example(tmp_path / "context")
