"""Raw graphs: a folder of Parquet, arrays of NumPy, or JSON that asks for a generated one."""

from __future__ import annotations

from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.training.packaged import read_pointer
from stillhouse.workloads.graphs._shared.one_graph import blocks, read_npz, read_parquet
from stillhouse.workloads.graphs._shared.one_graph.blocks import Blocks
from stillhouse.workloads.graphs._shared.one_graph.graph import Graph


def read(raw: Path, which: int) -> Graph:
    """The graph, with the split of that number where the raw data have several. Memory: about four times the size of the data.

    Raises UserError, naming file and row, column or array, at what is wrong.
    """
    if raw.is_dir():
        return read_parquet.read(raw, which)
    if raw.is_file() and raw.suffix == ".npz":
        return read_npz.read(raw, which)
    if raw.is_file() and raw.suffix == ".json":
        return blocks.generate(read_pointer(raw, Blocks, "generator `blocks` and its settings"))
    got = "something else" if raw.exists() else "nothing"
    raise UserError(f"{raw} - wanted a folder with nodes.parquet and edges.parquet, or an .npz or .json file, of a graph - there is {got}")
