"""Steps on a graph beside those of a plain script: both train the same network, and their memory is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import node_speed
from tests.workloads.graphs.static_nodes.raws import blocks, prepared


@pytest.mark.parametrize("family", node_speed.settings["families"])
def test_a_plain_script_trains_the_same_network(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(node_speed.settings, "sizes", {"hidden": 8, "layers": 2, "dropout": 0.0})
    prepared(blocks(tmp_path), tmp_path / "prepared")
    batch, sizes = node_speed.batch_of(tmp_path / "prepared")
    losses = []
    for method in node_speed.METHODS:
        taken, loss = node_speed.step(method, family, batch, sizes, 0)
        losses.append([float(loss().detach()) for _ in range(3) if not taken()])
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(losses[:1] * 3), rtol=0, atol=1e-5)
    assert losses[0][0] > losses[0][2]


@pytest.mark.parametrize("later", [False, True])
def test_memory_is_that_of_the_steps(later: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []  # each of 64 MB: the C library takes blocks of that size from the system, never from memory freed before
    monkeypatch.setattr(node_speed, "step", lambda *given: (lambda: held.append(torch.ones(2**24)), None))
    prepared(blocks(tmp_path), tmp_path / "prepared")
    case = node_speed.Case("blocks", tmp_path / "prepared", "gcn")
    assert 112 < node_speed.measured_megabytes((case, "ours", later)) < 144
    assert len(held) == (4 if later else 2)
