"""Models and training states on disk: tensors as safetensors, everything else as JSON, never a pickle.

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

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture

ModelDescription = dict[str, Any]
"""What `model.json` holds: enough to build the network again, and what its maker wants remembered."""


def write_model(folder: Path, state: Mapping[str, Tensor], record: ModelDescription) -> None:
    """Writes a model folder; a reader sees the whole of it or nothing."""
    fresh = folder.with_name(folder.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, fresh / "model.safetensors")
    (fresh / "model.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)


def read_record(folder: Path) -> ModelDescription:
    """What `write_model` was given as `record`."""
    record: ModelDescription = json.loads((folder / "model.json").read_text())
    return record


def read_state(folder: Path) -> dict[str, Tensor]:
    """The tensors of a model folder, on the CPU."""
    return load_file(folder / "model.safetensors")


def build(workload: Workload[Any], record: ModelDescription, architecture: Architecture | None) -> nn.Module:
    """A new network with the settings of a record; `architecture` None gives the full one."""
    settings = TypeAdapter(workload.model_settings).validate_python(record["model"])
    return workload.model(settings, record["sizes"], architecture)


def read_model(workload: Workload[Any], folder: Path) -> nn.Module:
    """The network of a model folder with its weights, on the CPU, in evaluation mode."""
    model = read_untrained(workload, folder)
    model.load_state_dict(read_state(folder))
    return model.eval()


def read_untrained(workload: Workload[Any], folder: Path) -> nn.Module:
    """The network of a model folder, freshly initialised."""
    record = read_record(folder)
    kept = record["architecture"]
    return build(workload, record, None if kept is None else Architecture.from_kept(kept))


def write_state(folder: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, rng: torch.Generator, facts: ModelDescription) -> None:
    """Everything a training needs to go on from the end of an epoch as if it had not been interrupted."""
    state = {f"model.{name}": tensor for name, tensor in modules.state_dict().items()}
    packed = optimizer.state_dict()
    for index, values in packed["state"].items():
        state |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    state |= {"rng.batches": rng.get_state(), "rng.global": torch.get_rng_state()}
    write_model(folder, state, facts | {"groups": packed["param_groups"]})


def read_training_state(folder: Path, modules: nn.Module, optimizer: torch.optim.Optimizer, rng: torch.Generator) -> ModelDescription:
    """Puts a state written by `write_state` back; returns its facts."""
    state, facts = read_state(folder), read_record(folder)
    modules.load_state_dict({name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")})
    values: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            values.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": values, "param_groups": facts["groups"]})
    rng.set_state(state["rng.batches"])
    torch.set_rng_state(state["rng.global"])
    return facts
