"""What is found once of a trained teacher over its training data, for losses that want more of it than one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.output import Feature
from stillhouse.contracts.parts import Task, Workload
from stillhouse.contracts.shown import CLASS_MEANS, Shown
from stillhouse.training import tensors
from stillhouse.training.score import passes

FILE = "facts.safetensors"
"""In the teacher's folder."""


def find(task: Task[Any], model: nn.Module, batches: Batches[Any]) -> dict[str, Tensor]:
    """The means of the teacher's features over the rows of each class, (classes, channel), by `class_means.NAME`.

    Of a class without rows it is 0; positions are averaged. Without labels of all rows, or features of them, there is nothing.
    """
    sums: dict[str, Tensor] = {}
    for output, batch in passes(task, model, batches):
        shown = task.shown(batch)
        if output.meaning != "classes" or shown.label is None or shown.known is None or output.prediction.dim() != 2:
            return {}
        classes = torch.nn.functional.one_hot(shown.label.where(shown.known, 0), output.prediction.shape[1])
        chosen = (classes * shown.known[:, None]).double().T
        for name, rows in _rows(output.features, len(shown.label)):
            sums[name] = sums.get(name, 0) + torch.cat((chosen @ rows, chosen.sum(1, keepdim=True)), 1)
    return {f"{CLASS_MEANS}{name}": (each[:, :-1] / each[:, -1:].clamp(min=1)).float() for name, each in sums.items()}


def _rows(features: Mapping[str, Feature], count: int) -> Iterator[tuple[str, Tensor]]:
    """(rows, channel) of each feature that has a batch axis of as many rows."""
    for name, feature in features.items():
        layout, value = feature.layout, feature.value.double()
        if layout.batch is not None and value.shape[layout.batch] == count:
            yield name, value.permute(layout.batch, layout.channel, *layout.positions).flatten(2).mean(2) if layout.positions else value


def write(folder: Path, found: Mapping[str, Tensor]) -> None:
    """Beside the model in its folder, if there is anything."""
    if found:
        tensors.write(folder / FILE, found)


def told(workload: Workload[Any], folder: Path, device: torch.device) -> Workload[Any]:
    """The workload, which shows its losses what is known of the teacher in that folder too."""
    if not (folder / FILE).exists():
        return workload
    found = {name: value.to(device) for name, value in tensors.read(folder / FILE).items()}

    def shown(batch: Any) -> Shown:
        return replace(workload.shown(batch), facts=found)

    return replace(workload, shown=shown)
