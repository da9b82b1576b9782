"""Raw graphs of each form become the same graphs, or are refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from stillhouse.workloads.graphs.static_graphs.read import read
from tests.workloads.graphs.static_graphs.raws import COUNT, EDGES, GRAPHS, NODES, TU, parquet, prepared, rules, tu


def test_tables_and_text_files_of_the_same_graphs_are_alike(tmp_path: Path) -> None:
    tables, texts = read(parquet(tmp_path / "p"), 1, values=False), read(tu(tmp_path / "t"), 1, values=False)
    assert (tables.targets.names, texts.targets.names) == (("a", "b"), (-1, 1))
    for graphs, oxygen in ((tables, "O"), (texts, "8")):
        assert graphs.graph.tolist() == [node // 2 for node in range(2 * COUNT)]
        assert graphs.targets.label.tolist() == [0, 1] * (COUNT // 2)
        assert graphs.features is not None
        assert graphs.features.tolist() == [[node, 1] for node in range(2 * COUNT)]
        assert graphs.kind is not None
        assert (graphs.kind == oxygen).tolist() == [True, False, False, False] * (COUNT // 2)
        assert graphs.split is not None
        assert graphs.split.tolist() == [0] * 4 + [2] * 4 + [0] * 4
    folders = [tmp_path / "p1", tmp_path / "t1"]
    counts = [
        prepared(raw, folder, split=1, train=0.5, valid=0.25) for raw, folder in zip((tmp_path / "p", tmp_path / "t"), folders, strict=True)
    ]
    assert counts[0] == counts[1] == {
        "graphs": 12, "nodes": 24, "edges": 24, "features": 4, "train_graphs": 6, "valid_graphs": 2, "test_graphs": 4
    }  # fmt: skip
    first, second = (read_parquet(folder / "edges.parquet") for folder in folders)
    assert first["source"].tolist() == second["source"].tolist() == [1, 0] * COUNT


def test_a_published_fold_is_tested_on_and_nothing_else(tmp_path: Path) -> None:
    raw = tu(tmp_path / "t")
    for which in range(3):
        prepared(raw, tmp_path / f"{which}", split=which)
        split = read_parquet(tmp_path / f"{which}/graphs.parquet")["split"]
        assert torch.equal(split == 2, torch.arange(COUNT) // 4 == which)
        label = torch.arange(COUNT) % 2
        assert [int((split[label == place] == 1).sum()) for place in range(2)] == [1, 1]
    with pytest.raises(UserError, match=r"test_idx-4.txt - wanted a file that can be read - No such file or directory$"):
        prepared(raw, tmp_path / "3", split=3)
    with pytest.raises(UserError, match=r"'fold' - wanted graphs of the fold 3 \(`prepare.split`, from 0\) - there are none$"):
        read(parquet(tmp_path / "p"), 3, values=False)


def test_splits_are_drawn_class_by_class_where_there_are_none_or_it_is_wished(tmp_path: Path) -> None:
    for raw, more in ((rules(tmp_path), {}), (tu(tmp_path / "t", folds=False), {}), (tu(tmp_path / "u"), {"draw": True})):
        folder = tmp_path / f"{raw.name}-prepared"
        prepared(raw, folder, train=0.5, valid=0.25, **more)
        found = read_parquet(folder / "graphs.parquet")
        for name in range(int(found["label"].max()) + 1):
            counts = torch.bincount(found["split"][found["label"] == name].long(), minlength=3).tolist()
            assert counts in ([10, 5, 5], [3, 1, 2])


def test_names_of_splits_are_kept(tmp_path: Path) -> None:
    names = ["train"] * 6 + ["val"] * 2 + ["test"] * 3 + ["none"]
    rows = [{"label": row["label"], "split": name} for row, name in zip(GRAPHS, names, strict=True)]
    assert prepared(parquet(tmp_path / "p", graphs=rows), tmp_path / "q")["valid_graphs"] == 2
    assert read_parquet(tmp_path / "q/graphs.parquet")["split"].tolist() == [0] * 6 + [1] * 2 + [2] * 3 + [-1]


def test_values_are_learnt_in_units_of_training_graphs(tmp_path: Path) -> None:
    prepared(tu(tmp_path / "t"), tmp_path / "q", values=True, split=2, valid=2)
    found, facts = read_parquet(tmp_path / "q/graphs.parquet"), read_json(tmp_path / "q/facts.json")
    raw = torch.stack((torch.arange(12.0), -torch.arange(12.0)), 1)
    known = raw[found["split"] == 0].double()
    torch.testing.assert_close(torch.tensor(facts["deviation"]), known.std(0, unbiased=False).float())
    torch.testing.assert_close(found["value"] * torch.tensor(facts["deviation"]) + torch.tensor(facts["mean"]), raw)
    rows = [{"label": [float(row), -row], "fold": row // 4} for row in range(COUNT)]
    prepared(parquet(tmp_path / "p", graphs=rows), tmp_path / "r", values=True, split=2, valid=2)
    assert torch.equal(read_parquet(tmp_path / "r/graphs.parquet")["value"], found["value"])


def test_splits_beside_folds_are_refused(tmp_path: Path) -> None:
    rows = [row | {"fold": 0, "split": "train"} for row in GRAPHS]
    with pytest.raises(UserError, match=r"graphs\.parquet - wanted splits or folds - got columns 'fold' and 'split': drop one of them$"):
        read(parquet(tmp_path / "p", graphs=rows), 0, values=False)


def test_kinds_are_those_of_training_graphs_and_a_degree_counts_edges(tmp_path: Path) -> None:
    nodes = [{"graph": row["graph"], "kind": "N" if row["graph"] == 4 else row["kind"]} for row in NODES]
    prepared(parquet(tmp_path / "p", nodes=nodes, edges=EDGES[1:]), tmp_path / "q", split=1, degree=True)
    features = read_parquet(tmp_path / "q/nodes.parquet")["features"]
    assert read_json(tmp_path / "q/facts.json")["seen"] == {"features": 0, "kinds": ["C", "O"], "degree": True}
    assert features[:4].tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1]]
    assert features[8:10].tolist() == [[0, 0, 1], [0, 0, 1]]


def test_generated_graphs_keep_their_rules(tmp_path: Path) -> None:
    graphs = read(rules(tmp_path, within=1.0, graphs=90), 0, values=False)
    assert graphs.kind is not None
    apart = (graphs.kind[graphs.target].astype(int) - graphs.kind[graphs.source].astype(int)) % 4
    assert (apart == graphs.targets.label[graphs.graph[graphs.source]]).all()
    values = read(rules(tmp_path, within=1.0, graphs=90), 0, values=True).targets.values
    assert values is not None
    assert values[:, 0].tolist() == [1.0, 0.0, 0.0] * 30
    with pytest.raises(UserError, match=r"wanted at most 3 classes of 4 kinds - got 4$"):
        read(rules(tmp_path, classes=4), 0, values=False)


def replaced(name: str, place: int, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    rows = {"graphs": GRAPHS, "nodes": NODES, "edges": EDGES}[name]
    return {name: [row | changes if number == place else row for number, row in enumerate(rows)]}


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (replaced("nodes", 1, graph=99), r"node 1 - wanted one of 12 graphs - got number 99, from 0$"),
        (replaced("nodes", 4, graph=0), r"node 4 - wanted nodes graph by graph - got graph 0$"),
        ({"nodes": NODES[:-2], "edges": EDGES[:-1]}, r"wanted a node of graph 11, from 0 - there is none$"),
        (replaced("edges", 2, target=0), r"edge 2 - wanted two nodes of one graph - got nodes 4 and 0$"),
        (replaced("edges", 2, target=24), r"edges.parquet, row 2 - wanted two nodes from 0 to 23 - got 4 and 24$"),
        (replaced("nodes", 3, kind=None), r"nodes.parquet, row 3 - wanted a kind of each node - there is none$"),
        (replaced("graphs", 0, label=None), r"graph 0 - wanted a class of each graph in a split - there is none$"),
        ({"graphs": [{"label": 0.5}] * COUNT}, r"got double: numbers are learnt with `prepare: \{values: true\}`$"),
        (
            {"graphs": [{"label": row % 2, "fold": row / 4} for row in range(COUNT)]},
            r"'fold' - wanted whole numbers from 0, or -1 - got float64$",
        ),
        ({"graphs": [{"label": 1}] * COUNT}, r"wanted graphs of two classes at least - got 1$"),
        ({"nodes": [{"graph": row["graph"]} for row in NODES]}, r"or their degrees \(`prepare: \{degree: true\}`\) - there are none$"),
    ],
)
def test_tables_that_are_no_graphs_are_refused(tables: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        prepared(parquet(tmp_path / "p", **tables), tmp_path / "q")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"A": TU["A"] + "1, x\n"}, r"PAIRS_A.txt - wanted lines of numbers with commas between them - could not convert string ' x'"),
        ({"A": TU["A"] + "1, 25\n"}, r"PAIRS_A.txt, counted from 0, row 24 - wanted two nodes from 0 to 23 - got 0 and 24$"),
        ({"A": TU["A"] + "1\n"}, r"the number of columns changed from 2 to 1 at row 25$"),
        ({"A": TU["A"] + "1, 1.5\n"}, r"PAIRS_A.txt, line 25 - wanted whole numbers - got \[1.0, 1.5\]$"),
        ({"graph_indicator": ""}, r"PAIRS_graph_indicator.txt - wanted lines of numbers - there are none$"),
        ({"graph_labels": TU["graph_labels"] + "1\n"}, r"wanted a node of graph 12, from 0 - there is none$"),
        ({"node_labels": "6\n"}, r"PAIRS_node_labels.txt - wanted a line for each of 24 nodes - got 1$"),
        ({"graph_labels": None}, r"PAIRS_graph_labels.txt - wanted a file that can be read - No such file or directory$"),
    ],
)
def test_text_files_that_are_no_graphs_are_refused(texts: dict[str, str | None], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        prepared(tu(tmp_path / "t", **texts), tmp_path / "q")


def test_what_is_none_of_the_forms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"wanted a folder with graphs.parquet or NAME_A.txt, .* of graphs - there is nothing$"):
        read(tmp_path / "no", 0, values=False)
    with pytest.raises(UserError, match=r"wanted graphs.parquet, or one file NAME_A.txt - got \[\]$"):
        read(tmp_path, 0, values=False)
    (tmp_path / "g.json").write_text(json.dumps({"generator": "rings"}))
    with pytest.raises(UserError, match=r"generator - wanted generator `rules` and its settings"):
        read(tmp_path / "g.json", 0, values=False)
    with pytest.raises(ValidationError, match=r"that leave some for the test - got 0.9 and 0.1"):
        WORKLOAD.prepare_settings(train=0.9, valid=0.1)
    with pytest.raises(ValidationError, match=r"shares below 1, or as whole numbers of graphs - got 1.5"):
        WORKLOAD.prepare_settings(train=1.5)
    with pytest.raises(ValidationError, match=r"wanted one of draw and split"):
        WORKLOAD.prepare_settings(draw=True, split=1)
    with pytest.raises(UserError, match=r"wanted the split 1 \(`prepare.split`\) - the raw data have none: leave `split` out$"):
        prepared(rules(tmp_path / "r"), tmp_path / "s", split=1)
