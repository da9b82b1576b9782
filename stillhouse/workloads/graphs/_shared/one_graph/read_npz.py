"""A graph as arrays of NumPy: `x` (nodes, features), `y` (nodes,) with -1 for no class, `edge_index` (2, edges), as in PyTorch Geometric.

The splits, if any, are `train_mask`, `valid_mask` (or `val_mask`) and `test_mask`, (nodes,) or (nodes, splits). Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.contracts.raw import content
from stillhouse.workloads.graphs._shared.nodes import NONE, SPLITS, Array, checked, ends
from stillhouse.workloads.graphs._shared.one_graph.graph import Graph

LARGEST = 2**31
"""The most bytes of the file, and of all arrays together."""


def read(path: Path, which: int) -> Graph:
    """The graph of a file. Raises UserError, naming file and array, at what is wrong."""
    arrays = _arrays(path)
    if missing := [name for name in ("x", "y", "edge_index") if name not in arrays]:
        raise UserError(f"{path} - wanted the array {missing[0]} - there are {shortened(str(sorted(arrays)), 200)}")
    if arrays["x"].dtype.kind not in "iufb":
        raise UserError(f"{path}: x - wanted numbers - got {arrays['x'].dtype}")
    features = checked(arrays["x"], f"{path}: x")
    label, edges = arrays["y"], arrays["edge_index"]
    if label.shape != features.shape[:1] or label.dtype.kind not in "iu" or (label.size and label.min() < NONE):
        raise UserError(f"{path}: y - wanted whole numbers from {NONE}, ({len(features)},) - got {label.dtype} {list(label.shape)}")
    if edges.ndim != 2 or len(edges) != 2:
        raise UserError(f"{path}: edge_index - wanted (2, edges) - got {list(edges.shape)}")
    names, place = np.unique(label[label >= 0], return_inverse=True)
    classes = np.full(len(label), NONE)
    classes[label >= 0] = place
    both = ends(edges[0], edges[1], len(features), f"{path}: edge_index")
    return Graph(features, classes, tuple(names.tolist()), *both, _split(arrays, len(features), which, path))


def _arrays(path: Path) -> dict[str, Array]:
    packed = content(path, most=LARGEST)
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise UserError(f"{path} - wanted arrays of at most {LARGEST} bytes in all - got more")
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile refuse damaged files with errors of no kind in common
        raise UserError(f"{path} - wanted arrays of NumPy, none of them pickled - {shortened(' '.join(str(error).split()), 200)}") from None


def _split(arrays: dict[str, Array], nodes: int, which: int, path: Path) -> Array | None:
    named = {name: next((f"{each}_mask" for each in others if f"{each}_mask" in arrays), "") for name, others in _NAMES.items()}
    if not any(named.values()):
        return None
    if missing := [name for name, found in named.items() if not found]:
        raise UserError(f"{path} - wanted masks of all three splits, or none - there is none of {missing[0]}")
    masks = np.stack([_mask(arrays[name], nodes, which, f"{path}: {name}") for name in named.values()])
    if len(twice := np.flatnonzero(masks.sum(0) > 1)):
        raise UserError(f"{path} - wanted each node in one split at most - node {twice[0]} is in several")
    return np.where(masks.any(0), masks.argmax(0), NONE)


_NAMES = {name: (name, "val") if name == "valid" else (name,) for name in SPLITS}


def _mask(mask: Array, nodes: int, which: int, place: str) -> Array:
    if mask.dtype.kind != "b" or mask.ndim not in (1, 2) or len(mask) != nodes:
        raise UserError(f"{place} - wanted a mask, true or false, ({nodes},) or ({nodes}, splits) - got {mask.dtype} {list(mask.shape)}")
    columns = mask.reshape(nodes, -1)
    if which >= columns.shape[1]:
        raise UserError(f"{place} - wanted the split {which} (`prepare.split`) - there are {columns.shape[1]}, counted from 0")
    return columns[:, which]
