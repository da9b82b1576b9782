"""Weights in several safetensors files with an index, as large models of Hugging Face are saved."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.raw import regular
from stillhouse.training.tensors import opened

INDEX = "model.safetensors.index.json"
_PLAIN = re.compile(r"\w[\w.\-]*\.safetensors")


def files(index: Path) -> dict[str, list[str]]:
    """The names of the tensors by the file beside the index that has them, in the order of the files' names.

    Raises UserError if the index is none, or names anything but regular files in its own folder.
    """
    found = read_json(index, index.parent)
    places = found.get("weight_map") if isinstance(found, dict) else None
    if not (isinstance(places, dict) and places and all(isinstance(file, str) for file in places.values())):
        raise UserError(f"{index} - wanted weight_map, which names a file for each tensor - there is none")
    names: dict[str, list[str]] = {file: [] for file in sorted(set(places.values()))}
    for file in names:
        if not _PLAIN.fullmatch(file):
            raise UserError(f"{index} - wanted names of safetensors files that lie beside it - got {file[:200]!r}")
        regular(index.parent / file, index.parent)
    for name, file in places.items():
        names[file].append(name)
    return names


def read(index: Path) -> dict[str, Tensor]:
    """The tensors of all files, which stay there until they are used: the system drops what it has read of a file where memory is short.

    Raises UserError as `files` and `opened` do, and if a file lacks a tensor.
    """
    state: dict[str, Tensor] = {}
    for file, names in files(index).items():
        with opened(index.parent / file) as content:
            if gone := sorted(set(names) - set(content.keys())):
                raise UserError(f"{index.parent / file} - wanted the tensor {gone[0]!r}, which {INDEX} says is in it - there is none")
            state |= {name: content.get_tensor(name) for name in names}
    return state
