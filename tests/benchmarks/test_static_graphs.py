"""The benchmark of classes of nodes on a small graph: what is measured of whom, and which differences are taken."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from pydantic import TypeAdapter

from benchmarks import _cells, _node_queries, _node_sets, static_graphs
from benchmarks._node_sets import NodeSet
from benchmarks.prune_rivals import half_width
from stillhouse.contracts.files import write_json
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.sample import Prepared


def tables(folder: Path, nodes: int = 40) -> None:
    """A ring, whose classes take turns and are one feature each; and a node of another graph."""
    folder.mkdir()
    names, splits = ["ring"] * nodes + ["other"], [[(node // 4) % 3] * 2 for node in range(nodes)] + [[-1, -1]]
    index = pa.array([[node % 2] for node in range(nodes + 1)], pa.list_(pa.int16()))
    columns = {"graph": names, "label": [node % 2 for node in range(nodes + 1)], "splits": splits}
    parquet.write_table(pa.table({**columns, "feature_index": index, "feature_value": [[1.0]] * (nodes + 1)}), folder / "nodes.parquet")
    ends = {"source": [*range(nodes), 0], "target": [*range(1, nodes), 0, 0]}
    parquet.write_table(pa.table({"graph": names, **ends}), folder / "edges.parquet")


def test_teacher_and_students_are_measured_split_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(tmp_path / "graphs")
    settings = deepcopy(static_graphs.settings) | {"queries": 2, "edgeless": {"hidden": 4, "layers": 2}}
    settings["sets"] = {"ring": settings["sets"]["cora"] | {"seeds": [1], "metric": "roc_auc", "taught": {"norm": "batch"}}}
    settings["sets"]["ring"]["fit"] |= {"epochs": 2}
    settings["sets"]["ring"]["model"] |= {"hidden": 4}
    monkeypatch.setattr(static_graphs, "settings", settings)
    monkeypatch.setattr(static_graphs, "SETS", {"ring": NodeSet("ring", "graphs", 2)})
    monkeypatch.setitem(static_graphs.PREPARE, "positions", {"size": 2})
    monkeypatch.setattr(_node_queries, "cost", lambda workload, model, prepared, nodes: {"query_ms": len(list(model.glob("model.json")))})
    for module in (_cells, _node_sets):
        monkeypatch.setattr(module, "WORK", tmp_path / "work")
    rows = {(row["method"], row["metric"]): row["mean"] for row in static_graphs.run(tmp_path)}
    students = {"mlp", "glnn", "ff_g2m", "nosmog", "dms 1/2", "dms 1/4"}
    assert {method: rows[method, "query_ms"] for method, metric in rows if metric == "query_ms"} == dict.fromkeys(["teacher", *students], 1)
    assert {method for method, metric in rows if metric == "ahead"} == students
    assert {method for method, metric in rows if metric == "over_mlp"} == students - {"mlp"} | {"teacher"}
    assert rows["glnn", "ahead"] == pytest.approx(rows["glnn", "roc_auc"] - rows["teacher", "roc_auc"])
    assert rows["dms 1/4", "macs_share"] <= 0.25


def test_networks_without_edges_have_settings_for_learning_alone_and_others_for_being_taught() -> None:
    how = static_graphs._set(1, {"epochs": 2}, {}, taught={"norm": "batch"}, alone={"norm": "none"})
    blocks = static_graphs._blocks(how)
    norms = {name: blocks[name]["search"]["model"]["norm"] for name in ("mlp", "glnn", "ff_g2m", "nosmog")}
    assert norms == {"mlp": "none", "glnn": "batch", "ff_g2m": "batch", "nosmog": "batch"}


def test_a_query_holds_as_many_hops_as_a_network_has_layers_and_answers_as_the_whole_graph() -> None:
    torch.manual_seed(0)
    nodes, ring = torch.arange(40), torch.stack((torch.arange(40), torch.arange(40).roll(1)))
    whole = Prepared(torch.randn(40, 2), torch.cat((ring, ring.flip(0)), 1), nodes % 2, nodes % 3, nodes < 0)
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "sage", "hidden": 4})
    network = WORKLOAD.model(settings, {"features": 2, "classes": 2}, None).eval()
    everything = WORKLOAD.apply(network, whole.batch(nodes >= 0, nodes >= 0)).prediction
    for hops in (0, 2):
        found = list(_node_queries.queries(whole, hops, 3))
        assert [len(batch.features) for batch in found] == [2 * hops + 1] * 3
    for batch in found:
        place = (whole.features == batch.features[batch.asked]).all(1)
        torch.testing.assert_close(WORKLOAD.apply(network, batch).prediction, everything[place])
    (several,) = _node_queries.queries(whole, 2, 1, size=3)
    alone = [everything[(whole.features == features).all(1)] for features in several.features[several.asked]]
    torch.testing.assert_close(WORKLOAD.apply(network, several).prediction, torch.cat(alone))
    assert several.asked.shape == (3,)


def test_differences_are_paired_and_have_an_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    values = {"teacher": [0.5, 0.8, 0.9], "glnn": [0.6, 0.8, 0.8]}
    cells = [cell for cell in static_graphs.cells("cora") if cell.seed < 3 and cell.method in values]
    for cell in cells[:-1]:
        write_json(cell.folder / "metrics.json", {"cora": {"accuracy": values[cell.method][cell.seed]}})
    found = {row["metric"]: row for row in static_graphs.paired(cells)}
    assert (found["ahead"]["seeds"], found["ahead"]["mean"]) == (2, pytest.approx(0.05))
    assert found["ahead"]["sd"] == pytest.approx(half_width([0.1, 0.0]))
    assert found["keeps"]["mean"] == pytest.approx(1.1)
