"""Raw graphs: a folder of Parquet, text files as TU Dortmund's, a table of molecules, or JSON that asks for generated ones."""

from __future__ import annotations

from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.training.packaged import read_pointer
from stillhouse.workloads.graphs.static_graphs import read_parquet, read_smiles, read_tu, rules
from stillhouse.workloads.graphs.static_graphs.raw import Graphs
from stillhouse.workloads.graphs.static_graphs.rules import Rules


def read(raw: Path, which: int, *, values: bool) -> Graphs:
    """The graphs with their classes, or their `values`, and the split of that number. Memory: about four times the size of the data.

    Raises UserError, naming file and row, column or line, at what is wrong.
    """
    if raw.is_dir():
        reader = read_parquet if (raw / "graphs.parquet").exists() else read_tu
        return reader.read(raw, which, values=values)
    if raw.is_file() and raw.suffix == ".json":
        return rules.generate(read_pointer(raw, Rules, "generator `rules` and its settings"), values=values)
    if raw.is_file() and raw.suffix in read_smiles.ENDINGS:
        return read_smiles.read(raw, which, values=values)
    got = "something else" if raw.exists() else "nothing"
    wanted = "wanted a folder with graphs.parquet or NAME_A.txt, a .csv or .parquet of molecules, or a .json file"
    raise UserError(f"{raw} - {wanted}, of graphs - there is {got}")
