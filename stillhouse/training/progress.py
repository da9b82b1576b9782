"""What an interrupted training goes on from: the states of all that takes part in it, as one file that is whole or not there.

A checkpoint is a safetensors file with its facts as JSON in the header, and the SHA-256 of its bytes in its name: what a disk or a death
has damaged is seen before any of it is used, and the training goes on from the checkpoint before it, or from the start.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import replace, sha256_of
from stillhouse.training import ranks

KEPT = 2
"""Checkpoints that a folder keeps: the newest, and one to fall back upon."""
SECONDS = 300.0
"""How much work an interruption costs at most, where `STILLHOUSE_CHECKPOINT_SECONDS` does not say otherwise."""
_NAME = re.compile(r"(\d{6,})-([0-9a-f]{64})\.safetensors")


class Part(Protocol):
    """Something whose state belongs to a checkpoint: tensors by name, and facts that are JSON."""

    def tensors(self) -> Mapping[str, Tensor]: ...

    def facts(self) -> Mapping[str, Any]: ...

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None: ...


class Progress:
    """The parts of one training and its folder of checkpoints; without a folder nothing is saved."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._parts: dict[str, Part] = {}
        self._seconds = _interval()
        self._saved = time.monotonic()

    def keep(self, name: str, part: Part) -> None:
        """Makes a part's state belong to every checkpoint; all parts are named before the first is restored."""
        self._parts[name] = part

    def restore(self) -> bool:
        """Puts the states of the newest undamaged checkpoint back into the parts; False if there is none.

        Of several processes the first one has the folder, and all go on from what it finds there.
        """
        found = ranks.from_first(newest(self._folder) if self._folder else None)
        if not found:
            return False
        tensors, facts = found
        for name, part in self._parts.items():
            prefix = f"{name}/"
            part.restore({key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}, facts[name])
        return True

    def save(self) -> None:
        """Writes the states of all parts as they are now."""
        if self._folder:
            tensors = {f"{name}/{key}": value for name, part in self._parts.items() for key, value in part.tensors().items()}
            write(self._folder, tensors, {name: part.facts() for name, part in self._parts.items()})
            self._saved = time.monotonic()

    def save_in_time(self) -> None:
        """Saves if so much time has passed since that was last done that more work should not be at stake."""
        if self._folder and time.monotonic() - self._saved >= self._seconds:
            self.save()


def write(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Adds a checkpoint to a folder and drops all but the newest `KEPT`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    before = _checkpoints(folder)
    partial = folder / "partial"
    values = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    replace(partial, lambda path: save_file(values, path, metadata={"facts": json.dumps(facts), "torch": torch.__version__}))
    path = folder / f"{_number(before[0]) + 1 if before else 1:06d}-{sha256_of(partial)}.safetensors"
    os.replace(partial, path)
    for old in before[KEPT - 1 :]:
        old.unlink()
    return path


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and facts of the newest checkpoint that can be relied on; those that cannot are dropped, with one line for each."""
    for path in _checkpoints(folder):
        fault = _fault(path)
        if not fault:
            return _read(path)
        print(f"{path} - dropped: {fault}; going on from the checkpoint before it, or from the start", file=sys.stderr)
        path.unlink()
    return None


def _interval() -> float:
    given = os.environ.get("STILLHOUSE_CHECKPOINT_SECONDS", str(SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UserError(f"STILLHOUSE_CHECKPOINT_SECONDS should be a number of seconds from 0 on - got {given!r}")
    return seconds


def _checkpoints(folder: Path) -> list[Path]:
    """The newest first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()] if folder.is_dir() else []
    return sorted(found, key=_number, reverse=True)


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _fault(path: Path) -> str | None:
    """Why a checkpoint is not to be used; only what has the bytes that were written is read at all."""
    try:
        if sha256_of(path) not in path.name:
            return "its bytes are not those that were written"
        with safe_open(path, "pt") as file:
            made = file.metadata()["torch"]
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None if made == torch.__version__ else f"it is of torch {made}, this is {torch.__version__}"


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118
