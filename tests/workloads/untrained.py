"""A teacher of every workload as `teach` writes it, but untrained: those of params.yaml and of docs/examples."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from stillhouse import registry
from stillhouse.training import checkpoint

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "params.yaml", *sorted(ROOT.glob("docs/examples/*.yaml"))]
TEACHERS = {(file.stem, name): block for file in FILES for name, block in YAML(typ="safe").load(file)["teachers"].items()}
"""The first one of a workload is taken."""
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
