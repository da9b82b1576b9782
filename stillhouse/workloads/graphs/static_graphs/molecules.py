"""Molecules written as SMILES, as graphs: atoms are nodes and bonds are edges, as RDKit reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.faults import Last, every
from stillhouse.workloads.graphs._shared.nodes import Array

if TYPE_CHECKING:
    from jaxtyping import Float, Int

COLUMN = "smiles"
LONGEST = 10_000
"""Characters of one molecule."""
FEATURES = ("charge", "hydrogens", "aromatic", "in a ring", "sp", "sp2", "sp3")
"""What is said of an atom beside its element."""
MISSING = "molecules - wanted the package rdkit, which is not installed: pip install 'stillhouse[molecules]'"


@dataclass(frozen=True, eq=False)
class Molecules:
    """All atoms, molecule by molecule, and each bond once."""

    atoms: Int[Array, " molecules"]
    """How many each molecule has."""
    features: Float[Array, "atoms features"]
    """FEATURES of each atom."""
    kind: Array
    """(atoms,) symbols of elements."""
    bonds: Int[Array, "2 bonds"]
    """Places of atoms among all."""
    counts: Int[Array, " molecules"]
    """How many bonds each molecule has."""


def molecules(written: Sequence[str | None], place: str) -> Molecules:
    """Raises UserError that names the rows that are no molecules, or that RDKit is not installed; it begins with `place`."""
    found = every(lambda row: _read(row[1], f"{place}row {row[0]}"), enumerate(written))
    atoms = np.array([each.GetNumAtoms() for each in found], dtype=np.int64)
    counts = np.array([each.GetNumBonds() for each in found], dtype=np.int64)
    every_atom = [atom for each in found for atom in each.GetAtoms()]
    ends = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for each in found for bond in each.GetBonds())
    places = np.fromiter(chain.from_iterable(ends), np.int64, 2 * int(counts.sum())).reshape(-1, 2).T
    first = np.repeat(np.cumsum(atoms) - atoms, counts)
    features = np.array([_features(atom) for atom in every_atom], dtype=np.float32).reshape(-1, len(FEATURES))
    return Molecules(atoms, features, np.array([atom.GetSymbol() for atom in every_atom], dtype=object), places + first, counts)


def graphs_of(table: pa.Table) -> pa.Table:
    """A table of molecules as one of graphs, each with lists of its own. Raises UserError that names the rows that are no molecules."""
    found = molecules(table.column(COLUMN).to_pylist(), "")
    first = np.repeat(np.cumsum(found.atoms) - found.atoms, found.counts)
    features = pa.FixedSizeListArray.from_arrays(found.features.ravel(), len(FEATURES)).cast(pa.list_(pa.float32()))
    ends = {name: _lists(pa.array(end - first), found.counts) for name, end in zip(("source", "target"), found.bonds, strict=True)}
    return pa.table({"features": _lists(features, found.atoms), "kinds": _lists(pa.array(found.kind.tolist()), found.atoms), **ends})


def _lists(values: pa.Array, lengths: Int[Array, " rows"]) -> pa.Array:
    """(rows,) lists of these lengths, one after the other."""
    return pa.ListArray.from_arrays(np.concatenate(([0], lengths.cumsum())).astype(np.int32), values)


def _read(text: str | None, place: str) -> Any:
    chemistry, silence = _library()
    if not text or len(text) > LONGEST:
        got = "nothing" if not text else f"{len(text)} characters"
        raise UserError(f"{place} - wanted a molecule as SMILES of at most {LONGEST} characters - got {got}")
    with silence():
        found = chemistry.MolFromSmiles(text)
    if found is None or not found.GetNumAtoms():
        raise UserError(f"{place} - wanted a molecule as SMILES - got {shortened(text, 100)!r}")
    return found


def _features(atom: Any) -> tuple[float, ...]:
    own = (atom.GetFormalCharge(), atom.GetTotalNumHs(), atom.GetIsAromatic(), atom.IsInRing())
    orbitals = str(atom.GetHybridization())
    return *map(float, own), *(float(orbitals == name) for name in ("SP", "SP2", "SP3"))


def _library() -> tuple[Any, Any]:
    """RDKit's chemistry, and what keeps its own words about molecules from the terminal."""
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        raise Last(MISSING) from None
    return Chem, rdBase.BlockLogs
