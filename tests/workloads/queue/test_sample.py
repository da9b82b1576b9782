"""Batches: every sample once a pass, unlabelled loads beside them, and heavy loads only when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from stillhouse.workloads.queue.prepare import PrepareSettings, prepare
from stillhouse.workloads.queue.sample import DataSettings, load


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    (tmp_path / "queue.json").write_text(json.dumps({"generator": "queue", "states": 8, "heavy": [40], "heavy_samples": 3}))
    prepare(PrepareSettings(), tmp_path / "queue.json", tmp_path / "out", torch.Generator().manual_seed(0))
    return tmp_path / "out"


def test_a_pass_has_every_sample_once_in_an_order_of_the_generator(prepared: Path) -> None:
    data = load(DataSettings(batch_size=7), prepared)
    passes = [list(data.train.draw(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    assert [len(batch.load) for batch in passes[0]] == [7, 7, 7, 7, 7, 5]
    assert data.train.length == 6
    joined = [torch.cat([torch.cat((batch.load[:, None], batch.counts), 1) for batch in batches]) for batches in passes]
    assert torch.equal(joined[0], joined[1])
    assert not torch.equal(joined[0], joined[2])
    assert sorted(map(tuple, joined[0].tolist())) == sorted(map(tuple, joined[2].tolist()))
    assert abs(joined[0][:, 0].mean().item() - 1) < 1e-12


def test_unlabelled_loads_have_no_counts_and_lie_between_their_bounds(prepared: Path) -> None:
    data = load(DataSettings(batch_size=40, unlabelled=500, unlabelled_loads=(31, 60)), prepared)
    (batch,) = data.train.draw(torch.Generator().manual_seed(0))
    assert batch.counts[40:].sum() == 0
    assert not batch.watched[40:].any()
    assert batch.watched[:40].nonzero()[:, 1].unique().tolist() == [0, 1]
    mean = 31 / batch.load[40:].min().item()
    assert 12 < mean < 14
    assert batch.load[40:].max().item() * mean == pytest.approx(60, rel=0.02)
    (plain,) = load(DataSettings(batch_size=40, unlabelled=50), prepared).train.draw(torch.Generator().manual_seed(0))
    assert 1 <= plain.load[40:].min() < plain.load[40:].max() <= 3


def test_heavy_loads_come_only_when_asked_for_with_all_their_states(prepared: Path) -> None:
    assert load(DataSettings(), prepared).test is None
    data = load(DataSettings(), prepared, test=True)
    assert data.test is not None
    (batch,) = data.test.draw(torch.Generator())
    assert batch.watched.all()
    assert len(batch.load) == 3
    assert batch.full[0] > 0.3
    (valid,) = data.valid.draw(torch.Generator())
    assert valid.full.isnan().all()
    assert data.sizes == {"states": 8}


@pytest.mark.parametrize("bounds", [(0.0, 3.0), (5.0, 3.0)])
def test_bounds_are_in_order(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        DataSettings(unlabelled_loads=bounds)
