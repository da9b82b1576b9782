"""The benchmark of whole graphs on a few of them: each fold is tested on once, and every student is measured beside its teacher."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks import _cells, _graph_sets, graph_classes
from stillhouse.workloads.graphs.static_graphs.read import read

COUNT = 24


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pairs and triples of nodes, and a graph of another set."""
    (tmp_path / "graph-molecules").mkdir()
    nodes = [2 + row % 2 for row in range(COUNT)]
    columns = {"set": ["PAIRS"] * COUNT + ["OTHER"], "label": [row % 2 for row in range(COUNT)] + [0]}
    columns |= {"fold": [row // 8 - (row == 23) * 3 for row in range(COUNT)] + [0], "node_label": [[1] * count for count in [*nodes, 2]]}
    columns |= {"edge_source": [[*range(count - 1)] for count in [*nodes, 2]], "edge_target": [[*range(1, count)] for count in [*nodes, 2]]}
    path = tmp_path / "graph-molecules/graphs.parquet"
    parquet.write_table(pa.table(columns), path)
    for module in (_cells, _graph_sets):
        monkeypatch.setattr(module, "WORK", tmp_path / "work")
    return path


def test_a_fold_is_tested_on_and_edges_stay_in_their_graphs(table: Path) -> None:
    for fold, tested in ((0, range(8)), (2, range(16, 23))):
        graphs = read(_graph_sets.raw(table, "PAIRS", fold), 0, values=False)
        assert graphs.split is not None
        assert (graphs.split == 2).nonzero()[0].tolist() == list(tested)
        assert graphs.graph[graphs.source].tolist() == [graph for graph in range(COUNT) for _ in range(1 + graph % 2)]
        assert (graphs.target - graphs.source).tolist() == [1] * len(graphs.source)


def test_every_student_is_measured_fold_by_fold(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"family": "gin", "hidden": 8, "layers": 2}
    settings = graph_classes.settings | {"sets": {"PAIRS": 2}, "folds": 2, "model": small, "students": ["mlp taught"]}
    monkeypatch.setattr(graph_classes, "settings", settings)
    rows = {(row["method"], row["metric"]): row for row in graph_classes.run(table.parents[1])}
    assert {method for method, metric in rows if metric == "accuracy"} == {"counts", "teacher", "mlp taught"}
    assert {row["seeds"] for row in rows.values()} == {2}
    assert rows["counts", "accuracy"]["mean"] == 1, "pairs and triples are told apart by their nodes"
    gain = rows["mlp taught", "accuracy"]["mean"] - rows["teacher", "accuracy"]["mean"]
    assert rows["mlp taught", "accuracy_gain"]["mean"] == pytest.approx(gain)
