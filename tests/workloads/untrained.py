"""A teacher of every workload as `teach` writes it, but untrained: those of params.yaml, and small ones where it has none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from stillhouse import registry
from stillhouse.training import checkpoint

ROOT = Path(__file__).parents[2]
SMALL = {"stem": "small", "width": 4, "blocks": [1, 1]}
OTHERS: dict[str, Any] = {
    "segment": {"raw": "data/raw/scenes.json", "model": {**SMALL, "dilated": 1, "head": 4}},
    "detect": {
        "raw": "data/raw/scene-boxes.json",
        "model": {"family": "fcos", "backbone": SMALL, "pyramid": {"width": 4, "lowest": 1, "highest": 3}},
    },
}
TEACHERS = YAML(typ="safe").load(ROOT / "params.yaml")["teachers"] | {
    name: {"workload": name, "raw": block["raw"], "prepare": {}, "teach": {"model": block["model"], "data": {}}}
    for name, block in OTHERS.items()
}
WORKLOADS = sorted({block["workload"] for block in TEACHERS.values()})


def teacher(name: str, folder: Path) -> SimpleNamespace:
    """Prepared data and the teacher of a workload, in `folder`."""
    block = next(block for block in TEACHERS.values() if block["workload"] == name)
    workload = registry.workload(name)
    settings = TypeAdapter(workload.prepare_settings).validate_python(block["prepare"])
    workload.prepare(settings, ROOT / block["raw"], folder / "prepared", torch.Generator().manual_seed(0))
    data = TypeAdapter(workload.data_settings).validate_python(block["teach"]["data"])
    sizes = workload.load(data, folder / "prepared").sizes
    model = TypeAdapter(workload.model_settings).validate_python(block["teach"]["model"])
    torch.manual_seed(0)
    record = {"model": model.model_dump(mode="json"), "sizes": dict(sizes), "architecture": None}
    checkpoint.write_model(folder / "teacher", workload.model(model, sizes, None).state_dict(), record)
    return SimpleNamespace(name=name, workload=workload, data=data, prepared=folder / "prepared", teacher=folder / "teacher")
