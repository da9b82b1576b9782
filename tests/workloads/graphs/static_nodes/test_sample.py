"""Batches of nodes that lose edges."""

from __future__ import annotations

import torch

from stillhouse.workloads.graphs.static_nodes.sample import Batch, thinned


def test_edges_that_go_are_those_that_are_drawn() -> None:
    edges = torch.arange(400).view(2, 200)
    none = torch.zeros(0, dtype=torch.int64)
    batch = Batch(torch.ones(400, 3), edges, none, none, none.bool())
    found = thinned(0.25, batch, torch.Generator().manual_seed(0))
    stays = torch.rand(200, generator=torch.Generator().manual_seed(0)) >= 0.25
    assert torch.equal(found.edges, edges[:, stays])
    assert found.features is batch.features
    assert 120 < found.edges.shape[1] < 180
