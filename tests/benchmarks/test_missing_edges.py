"""The benchmark of missing edges on a small graph: every student is measured beside its teacher."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import _cells, _node_sets, missing_edges
from benchmarks._node_sets import NodeSet
from tests.benchmarks.test_static_graphs import tables


def test_every_student_is_measured_beside_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(tmp_path / "graphs")
    settings = deepcopy(missing_edges.settings) | {"sets": ["ring"], "seeds": 1}
    settings["students"] = {"mlp taught": settings["students"]["mlp taught"]}
    settings["teach"]["model"] |= {"hidden": 4}
    settings["teach"]["fit"]["epochs"] = settings["students"]["mlp taught"]["distill"]["fit"]["epochs"] = 1
    monkeypatch.setattr(missing_edges, "settings", settings)
    monkeypatch.setattr(missing_edges, "SETS", {"ring": NodeSet("ring", "graphs", 2)})
    for module in (_cells, _node_sets):
        monkeypatch.setattr(module, "WORK", tmp_path / "work")
    rows = {(row["method"], row["metric"]): row["mean"] for row in missing_edges.run(tmp_path)}
    assert {method for method, metric in rows if metric == "roc_auc"} == {"teacher", "mlp taught"}
    assert rows["mlp taught", "roc_auc_gain"] == pytest.approx(rows["mlp taught", "roc_auc"] - rows["teacher", "roc_auc"])
    assert rows["teacher", "macs_share"] == 1
