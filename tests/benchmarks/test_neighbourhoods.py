"""What is measured of steps on drawn neighbourhoods."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import neighbourhoods
from tests.workloads.graphs.static_nodes.raws import blocks, prepared


def test_steps_are_on_the_neighbourhoods_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(neighbourhoods.settings, "model", {"family": "sage", "hidden": 4, "layers": 2})
    prepared(blocks(tmp_path), tmp_path / "prepared")
    whole, drawn = (neighbourhoods.measured((tmp_path / "prepared", how)) for how in ({}, {"neighbours": [1], "batch_size": 10}))
    assert (whole["nodes"], whole["steps"], drawn["steps"]) == (60, 1, 6)
    assert 10 < drawn["nodes"] <= 20
