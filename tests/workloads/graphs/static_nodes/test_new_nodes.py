"""Where nodes lie, and nodes that no graph had: what a student is told of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.joined import Kept, joined
from stillhouse.workloads.graphs.static_nodes.positions import Positions, positions
from stillhouse.workloads.graphs.static_nodes.sample import Prepared, read
from tests.workloads.graphs.static_nodes.raws import blocks, prepared

PATH = np.array([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
KEPT = Kept(torch.tensor([[1.0, 2, 10], [3, 4, 20], [5, 6, 30], [7, 8, 40]]), 2, torch.from_numpy(PATH), undirected=True)
"""Four nodes in a row, of two features and one position."""


def located(kind: str, size: int, edges: np.ndarray[Any, Any] = PATH, unseen: tuple[int, ...] = (), nodes: int = 4) -> torch.Tensor:
    settings = Positions.model_validate({"kind": kind, "size": size})
    hidden = np.isin(np.arange(nodes), unseen)
    return torch.from_numpy(positions(settings, edges, hidden, undirected=True, rng=torch.Generator().manual_seed(0)))


def test_random_walks_come_back():
    found = located("random_walk", 6)
    assert found[0].tolist() == pytest.approx([0, 0.5, 0, 0.375, 0, 0.34375])
    assert found[1].tolist() == pytest.approx([0, 0.75, 0, 0.6875, 0, 0.671875])


def test_eigenvectors_of_a_path():
    """Of eigenvalues 0.5, 1.5 and 2, each up to its sign; twice as long as eigenvectors are, for four nodes."""
    found = located("laplacian", 3) / 2
    wanted = [
        [0.5773502692, 0.4082482905, -0.4082482905, -0.5773502692],
        [0.5773502692, -0.4082482905, -0.4082482905, 0.5773502692],
        [0.4082482905, -0.5773502692, 0.5773502692, -0.4082482905],
    ]
    for column, values in zip(found.T, wanted, strict=True):
        torch.testing.assert_close(column * column[0].sign(), torch.tensor(values), rtol=0, atol=1e-6)
    with pytest.raises(UserError, match=r"^prepare.positions.size - should be below the 4 nodes that may be seen - got 4$"):
        located("laplacian", 4)


def test_an_unseen_node_lies_between_the_seen_ones_it_is_joined_to_and_moves_none() -> None:
    edges = np.concatenate((PATH, [[4, 1, 4, 2, 4, 5], [1, 4, 2, 4, 5, 4]]), 1)
    found, alone = located("random_walk", 4, edges, unseen=(4, 5), nodes=6), located("random_walk", 4)
    torch.testing.assert_close(found[:4], alone)
    torch.testing.assert_close(found[4], alone[1:3].mean(0))
    assert found[5].abs().sum() == 0


@pytest.mark.parametrize("kind", ["laplacian", "random_walk"])
def test_positions_are_prepared_beside_the_features_of_each_node(kind: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        prepared(blocks(tmp_path, nodes=150), tmp_path / name, inductive=True, positions={"kind": kind, "size": 4})
    assert (tmp_path / "first/nodes.parquet").read_bytes() == (tmp_path / "second/nodes.parquet").read_bytes()
    assert read(tmp_path / "first").features.shape == (150, 9)
    assert dict(WORKLOAD.load(WORKLOAD.data_settings(), tmp_path / "first").sizes) == {"features": 5, "positions": 4, "classes": 3}


def asked(**columns: list[Any]) -> pa.Table:
    kinds = {"node": pa.int64(), "features": pa.list_(pa.float32()), "neighbours": pa.list_(pa.int64())}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})


def test_new_nodes_are_joined_to_those_that_they_name():
    table = asked(node=[9, 1, 7], features=[[0, 1], [], [2, 3]], neighbours=[[1, 2, 2, 9], [], [9]])
    features, edges, nodes = joined(KEPT, table)
    assert nodes.tolist() == [5, 1, 4]
    assert features[4:].tolist() == [[2, 3, 0], [0, 1, 25]]
    assert torch.equal(edges[:, :6], KEPT.edges)
    assert sorted(edges[:, 6:].T.tolist()) == [[1, 5], [2, 5], [4, 5], [5, 1], [5, 2], [5, 4]]


def test_a_new_node_without_edges_and_known_ones_alone():
    features, edges, nodes = joined(KEPT, asked(node=[4], features=[[1, 1]]))
    assert (features[4].tolist(), nodes.tolist()) == ([1, 1, 0], [4])
    assert torch.equal(edges, KEPT.edges)
    features, edges, nodes = joined(KEPT, asked(node=[3, 0]))
    assert torch.equal(features, KEPT.features)
    assert nodes.tolist() == [3, 0]


def test_a_node_that_was_left_out_is_answered_as_in_the_whole_graph(tmp_path: Path) -> None:
    """A graph network of the whole graph, and of the graph without its last node to which that node is joined again."""
    prepared(blocks(tmp_path), tmp_path / "prepared")
    whole = read(tmp_path / "prepared")
    last = len(whole.features) - 1
    inside = (whole.edges != last).all(0)
    neighbours = whole.edges[0, whole.edges[1] == last].tolist()
    kept = Kept(whole.features[:-1], 5, whole.edges[:, inside], undirected=True)
    features, edges, nodes = joined(kept, asked(node=[last], features=[whole.features[-1].tolist()], neighbours=[neighbours]))
    torch.manual_seed(0)
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "gcn", "hidden": 8})
    network = WORKLOAD.model(settings, {"features": 5, "classes": 3}, None).eval()
    other = Prepared(features, edges, whole.label, whole.split, whole.unseen)
    everything = torch.ones(last + 1, dtype=torch.bool)
    wanted, found = (WORKLOAD.apply(network, each.batch(everything, everything)).prediction for each in (whole, other))
    assert nodes.tolist() == [last]
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (asked(node=[0, 4]), "row 1 - wanted a node from 0 to 3 - got 4"),
        (asked(node=[4], features=[[1]]), "row 0 - wanted 2 features of a new node - got 1"),
        (asked(node=[4], features=[[1, float("nan")]]), "row 0 - wanted finite features"),
        (asked(node=[0], features=[[1, 1]]), "row 0 - wanted no features of node 0, which the graph has"),
        (asked(node=[0], neighbours=[[1]]), "row 0 - wanted no neighbours of node 0, which the graph has"),
        (asked(node=[4, 4], features=[[1, 1]] * 2), "wanted each new node in one row - 4 is in several"),
        (asked(node=[4], features=[[1, 1]], neighbours=[[0, 6]]), "row 0 - wanted neighbours from 0 to 3, or other new nodes - got 6"),
    ],
)
def test_what_is_no_new_node_is_told(table: pa.Table, told: str) -> None:
    with pytest.raises(UserError, match=f"^{told}"):
        joined(KEPT, table)
