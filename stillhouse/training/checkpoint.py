"""Models on disk: tensors as safetensors, everything else as JSON, never a pickle.

A model folder holds `model.safetensors` and `model.json`; the JSON is enough to build the network again:
{"model": settings, "sizes": facts of the data, "architecture": kept indices or null, ...}.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor, nn

from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.training import tensors
from stillhouse.training.bound import LEAST, TIMES, parameters_within

ModelDescription = dict[str, Any]
"""What `model.json` holds: enough to build the network again, and what its maker wants remembered."""


def write_model(folder: Path, state: Mapping[str, Tensor], record: ModelDescription) -> None:
    """Writes a model folder; a reader sees the whole of it or nothing. Weights that layers share are written once."""
    fresh = folder.with_name(folder.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    tensors.write(fresh / "model.safetensors", state)
    (fresh / "model.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)


def read_record(folder: Path) -> ModelDescription:
    """What `write_model` was given as `record`."""
    record: ModelDescription = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return record


def read_state(folder: Path) -> dict[str, Tensor]:
    """The tensors of a model folder, on the CPU."""
    return tensors.read(folder / "model.safetensors")


def build(workload: Workload[Any], record: ModelDescription, architecture: Architecture | None) -> nn.Module:
    """A new network with the settings of a record; `architecture` None gives the full one."""
    settings = TypeAdapter(workload.model_settings).validate_python(record["model"])
    return workload.model(settings, record["sizes"], architecture)


def read_model(workload: Workload[Any], folder: Path) -> nn.Module:
    """The network of a model folder with its weights, on the CPU, in evaluation mode.

    Raises UserError where it would be far larger than the weights that are there.
    """
    with parameters_within(max(LEAST, TIMES * (folder / "model.safetensors").stat().st_size)):
        model = read_untrained(workload, folder)
    model.load_state_dict(read_state(folder))
    return model.eval()


def read_untrained(workload: Workload[Any], folder: Path) -> nn.Module:
    """The network of a model folder, freshly initialised."""
    record = read_record(folder)
    kept = record["architecture"]
    return build(workload, record, None if kept is None else Architecture.from_kept(kept))
