"""The benchmark of molecules: its splits, its choice of a teacher, and its control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks import _cells, _students, molecules

SMILES = ["C" * (1 + place) for place in range(20)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Chains of carbon, whose value is their length, and one of another set."""
    columns = {"set": ["esol"] * 20 + ["other"], "smiles": [*SMILES, "O"], "target": [*map(float, range(1, 21)), 99.0]}
    (tmp_path / "graph-molecules").mkdir()
    parquet.write_table(pa.table(columns), tmp_path / "graph-molecules/moleculenet.parquet")
    for module in (_cells, molecules):
        monkeypatch.setattr(module, "WORK", tmp_path / "work")
    monkeypatch.setitem(molecules.settings, "seeds", {"esol": 2})
    return tmp_path


def test_a_seed_is_a_split_of_all_molecules_of_the_set(data: Path) -> None:
    tables = [parquet.read_table(molecules.split(data / "graph-molecules/moleculenet.parquet", "esol", seed)) for seed in (0, 1)]
    for found in tables:
        assert found.column("smiles").to_pylist() == SMILES
        names = found.column("split").to_pylist()
        assert [names.count(name) for name in ("train", "valid", "test")] == [16, 2, 2]
    assert tables[0].column("split") != tables[1].column("split")


def test_a_teacher_is_chosen_on_validation_and_errors_that_are_lower_are_ahead(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(workload: Any, cell: _cells.Cell, entry: Any) -> dict[str, float]:
        model = cell.settings["teach"]["model"]
        lower = 0.25 if cell.settings["student"] else 0.0
        return {"valid": float(model["family"] == "sage"), "mae": 2 + cell.seed - lower, "rmse": 3 + (model["family"] != "sage")}

    monkeypatch.setattr(_students, "measured", measured)
    rows = {(row["method"], row["metric"]): row for row in molecules.run(data)}
    assert [rows[f"teacher: {name}", "tried"]["mean"] for name in molecules.settings["teachers"]] == [0, 0, 1]
    assert (rows["teacher", "rmse"]["mean"], rows["teacher", "rmse"]["seeds"]) == (3, 2)
    assert rows["mlp", "mae_gain"]["mean"] == pytest.approx(0.25)
    assert rows["mlp", "mae_gain_95"]["mean"] == pytest.approx(0)
    assert rows["counts", "mae"]["mean"] < 1, "a sum over atoms tells the length of a chain; values are 5 from their mean on average"
