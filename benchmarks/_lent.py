"""A backbone that has learnt the classes of CIFAR-10's pictures, as a teacher of another task is given it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import _students
from benchmarks._cells import WORK
from benchmarks._few import Block, Method, measured
from stillhouse.training.given import digest
from stillhouse.workloads.pictures import classify

PICTURES: Mapping[str, Any] = {
    "data": {"batch_size": 128, "evaluation_batch_size": 500, "shift": 4, "flip": True},
    "fit": {"epochs": 12, "learning_rate": 3e-3, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine"},
}
"""How it learns them."""


def lent(data: Path, model: Block) -> Block:
    """The `given` of a teacher whose backbone has the shape `model`; `data` holds cifar10-jpeg."""
    entry = _students.Set("cifar10-jpeg", data / "cifar10-jpeg/cifar10-jpeg.parquet", {}, {"model": model, **PICTURES})
    (cell,), _ = measured(lambda seed: {"teacher": Method(entry, {}, classify.WORKLOAD)}, [0])
    file = Path(os.path.relpath(WORK.parent / f"pretrained-{model['width']}.safetensors"))
    shutil.copyfile(_students.home(cell) / "teacher" / "model.safetensors", file)
    return {"path": str(file), "sha256": digest(file), "part": "backbone"}
