"""Tensors by name as one safetensors file, in which weights that layers share are written once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stillhouse.contracts.errors import UserError

_SHARED = "stillhouse.shared"
"""The only key of the header's own facts, since their order in the file is not always the same."""
_POINTER = b"version https://git-lfs"
"""What lies in place of a file that Git LFS has not fetched."""


def write(file: Path, state: Mapping[str, Tensor]) -> None:
    """Writes a state dict; of the names of one tensor the first has it, and the header says which one each of the others stands for."""
    first: dict[tuple[object, ...], str] = {}
    shared = {name: first.setdefault(_place(tensor), name) for name, tensor in state.items() if tensor.numel()}
    shared = {name: kept for name, kept in shared.items() if name != kept}
    values = {name: _alone(tensor) for name, tensor in state.items() if name not in shared}
    save_file(values, file, metadata={_SHARED: json.dumps(shared)} if shared else None)


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a file on the CPU, under all names that were given to `write`; those of other writers as they are.

    Raises UserError as `opened` does, and if its header says that a name stands for one that is not there.
    """
    with opened(file) as content:
        state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        shared = _shared(file, (content.metadata() or {}).get(_SHARED, "{}"))
    if gone := sorted(set(shared.values()) - state.keys()):
        raise UserError(f"{file} - wanted the tensor {gone[0]!r}, for which its header has another name too - there is none")
    return state | {name: state[kept] for name, kept in shared.items()}


def opened(file: Path) -> Any:
    """A safetensors file, for a `with` block. Raises UserError if it is none."""
    try:
        return safe_open(file, "pt")
    except (SafetensorError, OSError) as error:
        with suppress(OSError), file.open("rb") as content:
            if content.read(len(_POINTER)) == _POINTER:
                raise UserError(f"{file} - wanted weights as safetensors - got a pointer of Git LFS: git lfs pull") from None
        raise UserError(f"{file} - wanted weights as safetensors - {error}") from None


def _shared(file: Path, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(kept, str) for kept in found.values()):
        raise UserError(f"{file} - wanted names by name as {_SHARED!r} in its header - got {text[:100]!r}")
    return found


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _alone(tensor: Tensor) -> Tensor:
    """Without the rest of the memory that it may be a part of, since safetensors refuses tensors that overlap."""
    value = tensor.detach().cpu().contiguous()
    return value if value.untyped_storage().nbytes() == value.numel() * value.element_size() else value.clone()
