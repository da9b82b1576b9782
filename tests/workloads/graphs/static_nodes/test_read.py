"""Raw graphs of each form become the same graph, or are refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.dealt import dealt
from stillhouse.workloads.graphs._shared.nodes import arcs
from stillhouse.workloads.graphs._shared.one_graph.read import read
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from tests.workloads.graphs.static_nodes.raws import EDGES, NODES, blocks, npz, parquet, prepared


def test_tables_and_arrays_of_one_graph_are_alike(tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(npz())
    columns = [{"f0": row["features"][0], "f1": row["features"][1], "label": row["label"], "split": row["split"]} for row in NODES]
    found = [read(path, 0) for path in (parquet(tmp_path / "a"), parquet(tmp_path / "b", columns), tmp_path / "g.npz")]
    assert [graph.names for graph in found] == [("a", "b"), ("a", "b"), (0, 1)]
    for graph in found:
        assert graph.features.tolist() == [[node, 1] for node in range(8)]
        assert (graph.label.tolist(), graph.source.tolist(), graph.target.tolist()) == ([0, 1] * 4, [*range(8)], [*range(1, 8), 0])
        assert graph.split is not None
        assert graph.split.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]


def test_one_of_several_splits_is_chosen(tmp_path: Path) -> None:
    masks = {name: np.stack([mask, np.roll(mask, 1)], 1) for name, mask in zip(("train_mask", "val_mask", "test_mask"), MASKS, strict=True)}
    (tmp_path / "g.npz").write_bytes(npz(**masks))
    rows = [{**row, "split_1": NODES[node - 1]["split"]} for node, row in enumerate(NODES)]
    for path in (tmp_path / "g.npz", parquet(tmp_path / "t", rows)):
        split = read(path, 1).split
        assert split is not None
        assert split.tolist() == [2, 0, 0, 0, 0, 1, 1, 2]


MASKS = (np.arange(8) < 4, np.arange(8) // 2 == 2, np.arange(8) > 5)


def test_a_node_may_be_in_no_split_and_of_no_class(tmp_path: Path) -> None:
    rows = changed(1, split="none", label=None)
    graph = read(parquet(tmp_path / "t", rows), 0)
    assert graph.split is not None
    assert (graph.split.tolist(), graph.label.tolist()) == ([0, -1, 0, 0, 1, 1, 2, 2], [0, -1, 0, 1, 0, 1, 0, 1])


def test_minus_one_among_classes_is_told(tmp_path: Path) -> None:
    rows = [{**row, "label": node % 3 - 1} for node, row in enumerate(NODES)]
    with pytest.warns(UserWarning, match="'label': -1 is taken for a class; .* leave the cell empty"):
        assert read(parquet(tmp_path / "t", rows), 0).names == (-1, 0, 1)


def test_shares_and_splits_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"shares below 1, or as whole numbers of nodes - got 1.5"):
        WORKLOAD.prepare_settings(valid=1.5)
    with pytest.raises(ValidationError, match=r"wanted one of draw and split"):
        WORKLOAD.prepare_settings(draw=True, split=1)
    with pytest.raises(UserError, match=r"wanted the split 1 \(`prepare.split`\) - the raw data have none: leave `split` out$"):
        prepared(blocks(tmp_path), tmp_path / "q", split=1)


def test_edges_hold_both_ways_once_and_none_is_a_loop(tmp_path: Path) -> None:
    edges = [{"source": 0, "target": 1}, {"source": 1, "target": 0}, {"source": 0, "target": 1}, {"source": 2, "target": 2}]
    graph = read(parquet(tmp_path / "t", edges=[*edges, {"source": 3, "target": 2}]), 0)
    assert arcs(graph.source, graph.target, 8, undirected=True).T.tolist() == [[1, 0], [0, 1], [3, 2], [2, 3]]
    assert arcs(graph.source, graph.target, 8, undirected=False).T.tolist() == [[1, 0], [0, 1], [3, 2]]


def test_splits_are_drawn_class_by_class(tmp_path: Path) -> None:
    counts = prepared(blocks(tmp_path), tmp_path / "share", train=0.5, valid=0.25)
    assert [counts[f"{name}_nodes"] for name in ("train", "valid", "test")] == [30, 15, 15]
    counts = prepared(blocks(tmp_path), tmp_path / "count", train=2, valid=3)
    assert [counts[f"{name}_nodes"] for name in ("train", "valid", "test")] == [6, 9, 45]
    label = np.array([0] * 10 + [1] * 20 + [-1])
    split = dealt(label, 0.5, 3, torch.Generator().manual_seed(0))
    assert [np.bincount(split[label == number], minlength=3).tolist() for number in (0, 1)] == [[5, 3, 2], [10, 3, 7]]
    assert split[-1] == -1


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        prepared(blocks(tmp_path), tmp_path / name, inductive=True)
    for file in ("nodes.parquet", "edges.parquet", "facts.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def changed(row: int, **values: Any) -> list[dict[str, Any]]:
    return [{**each, **values} if number == row else each for number, each in enumerate(NODES)]


@pytest.mark.parametrize(
    ("nodes", "edges", "told"),
    [
        (changed(3, features=[1.0]), EDGES, r"nodes\.parquet, row 3 - wanted 2 features, as in the first row - got 1$"),
        (changed(3, features=None), EDGES, r"nodes\.parquet, row 3 - wanted 2 features"),
        (changed(3, features=[1.0, float("nan")]), EDGES, r"nodes\.parquet, row 3 - wanted finite numbers"),
        (
            changed(3, features=[1.0, 1e60]),
            EDGES,
            r"nodes\.parquet, row 3 - wanted finite numbers, between -1e",
        ),
        (changed(3, split="eval"), EDGES, r"row 3 - wanted train, valid, test or none in 'split' - got 'eval'"),
        ([{**each, "id": 7 - row} for row, each in enumerate(NODES)], EDGES, r"row 0 - wanted the number of its row as `id`, .* - got 7"),
        (
            [{**{name: each[name] for name in ("features", "label")}, "train_mask": True, "val_mask": False} for each in NODES],
            EDGES,
            r"nodes\.parquet - wanted splits as a column `split` of names - got train_mask, val_mask",
        ),
        ([{"label": 1}], EDGES, r"nodes\.parquet - wanted the column 'f0' - got \['label'\]"),
        ([{"features": [1.0]}], EDGES, r"nodes\.parquet - wanted the column 'label'"),
        ([{"features": [1.0], "label": 0.5}], EDGES, "column 'label' - wanted classes as whole numbers or as names - got double"),
        (NODES, [{"source": 0, "target": 8}], r"edges\.parquet, row 0 - wanted two nodes from 0 to 7 - got 0 and 8"),
        (NODES, [{"source": "a", "target": "b"}], r"edges\.parquet, column 'source' - wanted a number in each row - got string"),
        (
            changed(3, label="a "),
            EDGES,
            "column 'label' - wanted classes .* told apart - got 'a' and 'a ': write them alike",
        ),
        (NODES, [{"from": 0}], r"edges\.parquet - wanted the column 'source' - got \['from'\]"),
    ],
)
def test_a_wrong_table_is_told(tmp_path: Path, nodes: list[dict[str, Any]], edges: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        read(parquet(tmp_path / "t", nodes, edges), 0)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": None}, "wanted the array x - there are"),
        ({"x": np.ones(8)}, r"x - wanted features of nodes, \(nodes, features\) - got \[8\]"),
        ({"x": np.array([["a"]] * 8)}, "x - wanted numbers - got <U1"),
        ({"x": np.array([[None]] * 8)}, "wanted arrays of NumPy, none of them pickled - Object arrays cannot be loaded"),
        ({"y": np.zeros(7, dtype=int)}, r"y - wanted whole numbers from -1, \(8,\) - got int64 \[7\]"),
        ({"edge_index": np.zeros((3, 2), dtype=int)}, r"edge_index - wanted \(2, edges\) - got \[3, 2\]"),
        ({"edge_index": np.array([[0], [9]])}, "edge_index, row 0 - wanted two nodes from 0 to 7 - got 0 and 9"),
        ({"val_mask": None}, "wanted masks of all three splits, or none - there is none of valid"),
        ({"test_mask": np.ones(8)}, "test_mask - wanted a mask, true or false"),
        ({"test_mask": np.ones(8, dtype=bool)}, "wanted each node in one split at most - node 0 is in several"),
    ],
)
def test_wrong_arrays_are_told(tmp_path: Path, arrays: dict[str, Any], told: str) -> None:
    (tmp_path / "g.npz").write_bytes(npz(**arrays))
    with pytest.raises(UserError, match=rf"g\.npz.*{told}"):
        read(tmp_path / "g.npz", 0)


def test_what_is_no_graph_is_told(tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"g\.npz - wanted arrays of NumPy"):
        read(tmp_path / "g.npz", 0)
    with pytest.raises(UserError, match=r"wanted a folder with nodes\.parquet .* - there is nothing$"):
        read(tmp_path / "none", 0)
    with pytest.raises(UserError, match="wanted two nodes of each of the 3 classes at least - got 4 nodes"):
        read(blocks(tmp_path, nodes=4), 0)
    (tmp_path / "g.npz").write_bytes(npz())
    with pytest.raises(UserError, match=r"wanted the split 1 \(`prepare.split`\) - there are 1, counted from 0"):
        read(tmp_path / "g.npz", 1)


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        (changed(6, split=None)[:7] + changed(7, split=None)[7:], "wanted nodes in the split test - there are none"),
        ([{**row, "label": "a"} for row in NODES], "wanted nodes of two classes at least - got 1"),
        (changed(4, label=None), "node 4 - wanted a class of each node in a split - there is none"),
        (
            [{**row, "label": "c" if node > 5 else row["label"]} for node, row in enumerate(NODES)],
            "training nodes of each class .* none of c",
        ),
    ],
)
def test_splits_that_cannot_be_learnt_from_are_told(tmp_path: Path, nodes: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        prepared(parquet(tmp_path / "t", nodes), tmp_path / "p")
