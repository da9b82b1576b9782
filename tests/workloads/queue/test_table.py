"""Loads in the units of the data become those that a model is trained on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.training.table import predictions
from stillhouse.workloads.queue import WORKLOAD
from stillhouse.workloads.queue.table import ROWS, TABLE


@pytest.fixture
def context(tmp_path: Path) -> Path:
    write_json(tmp_path / "facts.json", {"states": 4, "mean_load": 8.0, "watched": [0, 1]})
    return tmp_path


def test_rows_are_distributions_at_their_own_load_in_their_order(context: Path) -> None:
    model = WORKLOAD.model(_settings(), {"states": 4}, None)
    loads = torch.linspace(1, 40, ROWS + 5, dtype=torch.float64)
    got = pa.concat_tables(predictions(TABLE, WORKLOAD, model, context, pa.table({"load": loads.numpy()})))
    assert got.column("load").to_pylist() == pytest.approx(loads.tolist())
    rows = torch.tensor(got.column("probabilities").to_pylist(), dtype=torch.float64)
    assert torch.allclose(rows, model(loads / 8).prediction.exp())
    assert torch.allclose(rows.sum(1), torch.ones(len(rows), dtype=torch.float64))


@pytest.mark.parametrize("load", [0.0, -1.0, float("nan"), float("inf")])
def test_a_load_that_is_none_is_refused(context: Path, load: float) -> None:
    with pytest.raises(UserError, match=f"^row 1 - wanted a finite load above 0 - got {load:g}$"):
        TABLE.ask(context, pa.table({"load": [1.0, load]}))


def _settings() -> object:
    from pydantic import TypeAdapter

    return TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "black_box"})
