"""Training on neighbourhoods that are drawn: what is drawn, and that all of it is what the whole graph tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch_geometric.utils import k_hop_subgraph

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.neighbours import ALL, Incoming, around
from stillhouse.workloads.graphs.static_nodes.sample import Batch, DataSettings, load
from tests.workloads.graphs.static_nodes import raws
from tests.workloads.graphs.static_nodes.test_models import answers, build, graph

ASKED = torch.tensor([7, 2, 11])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def named(nodes: Tensor, edges: Tensor) -> set[tuple[int, int]]:
    """Edges by the numbers of nodes in the whole graph."""
    return {(int(source), int(target)) for source, target in nodes[edges].T}


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_all_neighbours_are_the_nodes_and_edges_that_the_library_finds(hops: int) -> None:
    found = graph()
    nodes, edges = around(Incoming.of(found.edges, 30), ASKED, (ALL,) * hops, seeded())
    wanted, inside, _, _ = k_hop_subgraph(ASKED, hops, found.edges, relabel_nodes=False, num_nodes=30, directed=True)
    assert nodes[:3].tolist() == ASKED.tolist()
    assert sorted(nodes.tolist()) == wanted.tolist()
    assert named(nodes, edges) == set(map(tuple, inside.T.tolist()))
    assert edges.shape[1] == inside.shape[1]


@pytest.mark.parametrize(("family", "more"), [("sage", 0), ("gin", 0), ("gat", 0), ("gcn", 1)])
def test_with_all_neighbours_answers_are_those_on_the_whole_graph(family: str, more: int) -> None:
    """GCN divides by the degrees of neighbours too, so it needs their edges: a step more."""
    found, model = graph(), build({"family": family, "layers": 2})
    nodes, edges = around(Incoming.of(found.edges, 30), ASKED, (ALL,) * (2 + more), seeded())
    assert len(nodes) < 30
    wanted = answers(model, found.features, found.edges)[ASKED]
    torch.testing.assert_close(answers(model, found.features[nodes], edges)[:3], wanted, rtol=0, atol=1e-10)


def test_so_many_neighbours_are_drawn_none_twice_and_each_as_often() -> None:
    found = graph(30, 200)
    incoming, times = Incoming.of(found.edges, 30), torch.zeros(30)
    degree = torch.bincount(found.edges[1], minlength=30)
    for seed in range(400):
        nodes, edges = around(incoming, ASKED, (3,), seeded(seed))
        assert torch.bincount(edges[1], minlength=3)[:3].tolist() == degree[ASKED].clamp_max(3).tolist()
        assert len(named(nodes, edges)) == edges.shape[1]
        times += torch.bincount(nodes[edges[0][edges[1] == 0]], minlength=30)
    neighbours = found.edges[0][found.edges[1] == ASKED[0]]
    assert len(neighbours) > 4
    wanted = 400 * 3 / len(neighbours)
    assert (times[neighbours] - wanted).abs().max() < 5 * wanted**0.5
    assert times.sum() == 1200


def test_the_seed_says_which_are_drawn() -> None:
    incoming = Incoming.of(graph(30, 200).edges, 30)
    first, again, other = (around(incoming, ASKED, (2, 2), seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(map(torch.equal, first, other))


def train(folder: Path, *, inductive: bool = False, **settings: Any) -> list[Batch]:
    if not folder.exists():
        raws.prepared(raws.blocks(folder.parent), folder, inductive=inductive)
    return list(load(DataSettings(**settings), folder).train.draw(seeded()))


def test_a_pass_asks_about_every_node_once_and_each_batch_knows_classes(tmp_path: Path) -> None:
    (whole,) = train(tmp_path / "prepared", inductive=True)
    batches = train(tmp_path / "prepared", neighbours=(2, 2), batch_size=20)
    assert [len(batch.asked) for batch in batches] == [len(whole.asked) // 3 + (place < len(whole.asked) % 3) for place in range(3)]
    rows = torch.cat([batch.features[batch.asked] for batch in batches])
    assert sorted(rows.tolist()) == sorted(whole.features.tolist())
    labels = torch.cat([batch.label for batch in batches])
    assert torch.equal(labels.sort()[0], whole.label.sort()[0])
    knows = [int((batch.label >= 0).sum()) for batch in batches]
    assert max(knows) - min(knows) <= 1
    known = train(tmp_path / "prepared", neighbours=(2, 2), batch_size=20, asked="known")
    assert sorted(torch.cat([batch.label for batch in known]).tolist()) == sorted(whole.label[whole.label >= 0].tolist())


def test_only_training_is_on_neighbourhoods(tmp_path: Path) -> None:
    train(tmp_path / "prepared")
    whole, drawn = (load(DataSettings(neighbours=each), tmp_path / "prepared", test=True) for each in ((), (1,)))
    assert drawn.test is not None
    assert whole.test is not None
    for first, second in ((whole.valid, drawn.valid), (whole.test, drawn.test)):
        one, other = (next(iter(each.draw(seeded()))) for each in (first, second))
        assert torch.equal(one.edges, other.edges)
        assert torch.equal(one.features, other.features)


def test_the_loss_of_all_neighbourhoods_of_a_pass_is_that_of_the_whole_graph(tmp_path: Path) -> None:
    (whole,) = train(tmp_path / "prepared")
    batches = train(tmp_path / "prepared", neighbours=(ALL, ALL), batch_size=20, asked="known")
    model = build({"family": "sage", "layers": 2}, {"features": 5, "classes": 3}).float()
    losses = torch.stack([WORKLOAD.loss(WORKLOAD.apply(model, batch), batch) for batch in batches])
    weights = torch.tensor([len(batch.asked) for batch in batches]) / int((whole.label >= 0).sum())
    torch.testing.assert_close((losses * weights).sum(), WORKLOAD.loss(WORKLOAD.apply(model, whole), whole), rtol=1e-5, atol=1e-6)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "prepared")
    with pytest.raises(ValidationError, match=r"wanted numbers above 0, or -1 for all edges - got \[5, 0\]"):
        DataSettings(neighbours=(5, 0))
    with pytest.raises(UserError, match=r"data\.batch_size - wanted a training node in each batch, so 2 or more - got 1$"):
        train(tmp_path / "prepared", neighbours=(2,), batch_size=1)
    assert not DataSettings().model_dump()
