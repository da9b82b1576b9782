"""Molecules as graphs, beside PyTorch Geometric's own reading of SMILES."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv
from pyarrow import parquet as files
from torch_geometric.utils import from_smiles
from torch_geometric.utils.smiles import x_map

from stillhouse.contracts.errors import UserError
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.static_graphs import WORKLOAD
from stillhouse.workloads.graphs.static_graphs.molecules import FEATURES, graphs_of, molecules
from stillhouse.workloads.graphs.static_graphs.read import read
from tests.workloads.graphs.static_graphs.raws import MOLECULES, SMILES, prepared

SYMBOLS = {1: "H", 6: "C", 7: "N", 8: "O", 11: "Na", 17: "Cl"}


def test_atoms_and_bonds_are_those_that_the_library_reads() -> None:
    found, atom, bond = molecules(SMILES, ""), 0, 0
    for row, smiles in enumerate(SMILES):
        theirs, atoms, bonds = from_smiles(smiles), int(found.atoms[row]), int(found.counts[row])
        names = list(x_map)
        told = {name: [x_map[name][value] for value in theirs.x[:, names.index(name)].tolist()] for name in names}
        ours = dict(zip(FEATURES, found.features[atom : atom + atoms].T.tolist(), strict=True))
        assert found.kind[atom : atom + atoms].tolist() == [SYMBOLS[number] for number in told["atomic_num"]]
        assert [ours[name] for name in FEATURES[:4]] == [
            *(told[name] for name in ("formal_charge", "num_hs", "is_aromatic", "is_in_ring")),
        ]
        for name in ("sp", "sp2", "sp3"):
            assert ours[name] == [value == name.upper() for value in told["hybridization"]]
        ends = found.bonds[:, bond : bond + bonds] - atom
        both = {(int(one), int(other)) for one, other in np.concatenate((ends, ends[::-1]), 1).T}
        assert both == {(one, other) for one, other in theirs.edge_index.T.tolist()}
        atom, bond = atom + atoms, bond + bonds
    assert (atom, bond) == (len(found.kind), found.bonds.shape[1])


@pytest.mark.parametrize(
    ("labels", "names"),
    [("10 2 10", (2, 10)), ("01 1 1", ("01", "1")), ("true false true", ("false", "true")), ("NA 1 2", ("1", "2", "NA"))],
)
def test_classes_of_molecules_are_numbers_or_what_is_written(tmp_path: Path, labels: str, names: tuple[str | int, ...]) -> None:
    (tmp_path / "m.csv").write_text("label,smiles\n" + "".join(f"{label},CO\n" for label in labels.split()) + ",CO\n")
    targets = read(tmp_path / "m.csv", 0, values=False).targets
    assert (targets.names, targets.label[-1]) == (names, -1)


def context(folder: Path) -> Path:
    (folder / "m.csv").write_text(MOLECULES)
    prepared(folder / "m.csv", folder / "q", values=True, degree=True)
    (folder / "context").mkdir()
    WORKLOAD.table.keep(folder / "q", folder / "context")
    return folder / "context"


def test_a_molecule_that_is_asked_about_is_described_as_those_of_the_data(tmp_path: Path) -> None:
    place = context(tmp_path)
    assert WORKLOAD.table.example(place).to_pydict() == {"smiles": ["CO", "O"]}
    [batch] = WORKLOAD.table.ask(place, pa.table({"smiles": SMILES})).batches
    assert torch.equal(batch.x, read_parquet(tmp_path / "q/nodes.parquet")["features"])
    assert torch.equal(torch.bincount(batch.batch), read_parquet(tmp_path / "q/graphs.parquet")["nodes"])
    edges, counts = read_parquet(tmp_path / "q/edges.parquet"), torch.bincount(batch.batch)
    first = (counts.cumsum(0) - counts)[batch.batch[batch.edge_index[0]]]
    assert torch.equal(batch.edge_index - first, torch.stack((edges["source"], edges["target"])))


def test_csv_and_parquet_are_read_alike_and_splits_are_kept(tmp_path: Path) -> None:
    rows = {"smiles": SMILES, "label": [*"ab" * 6], "split": [*["train"] * 8, "valid", "valid", "test", "test"]}
    csv.write_csv(pa.table(rows), tmp_path / "m.csv")
    files.write_table(pa.table(rows), tmp_path / "m.parquet")
    one, other = (read(tmp_path / name, 0, values=False) for name in ("m.csv", "m.parquet"))
    assert one.split is not None
    assert one.split.tolist() == [0] * 8 + [1, 1, 2, 2]
    assert (one.targets.label.tolist(), one.targets.names) == (other.targets.label.tolist(), ("a", "b"))
    assert one.features is not None
    assert np.array_equal(one.features, other.features)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "smiles,label\nCO,1.0\nxx,2.0\n,3.0\n",
            r"row 1 - .* as SMILES - got 'xx'\n.*row 2 - .* - got nothing\n2 faults in all$",
        ),
        (
            "smiles,label\n" + "C" * 20000 + ",1.0\n",
            r"row 0 - wanted .* of at most 10000 characters - got 20000 characters$",
        ),
        ("smiles,solubility\nCO,1.0\n", r"m\.csv - wanted the column 'label' - got \['smiles', 'solubility'\]$"),
        ("smiles,label\n", r"m\.csv - wanted a molecule in each row - there are no rows$"),
        ("smiles,label,smiles\nCO,1.0,O\n", r"m\.csv - wanted columns with a name of their own"),
    ],
)
def test_what_is_no_molecule_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match=told):
        read(tmp_path / "m.csv", 0, values=True)


def test_rows_that_are_no_molecules_are_named() -> None:
    with pytest.raises(UserError, match=r"^row 1 - wanted a molecule as SMILES - got 'xx'$"):
        graphs_of(pa.table({"smiles": ["CO", "xx"]}))


def test_without_the_library_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(UserError, match=r"^molecules - wanted the package rdkit, .* pip install 'stillhouse\[molecules\]'$"):
        molecules(["CO", "O"], "")
