"""What a step of the search costs beside a plain one, and a step with a teacher beside one without, for networks of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from benchmarks._cells import Row, row
from benchmarks._steps import Step, interleaved, plain, ratio, searching
from stillhouse import registry
from stillhouse.contracts.output import Output
from stillhouse.searches._candidate import magnitudes
from stillhouse.searches._rounding import Rounding
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of
from stillhouse.space.structure import Structure
from stillhouse.training import machine
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.sample import Batch

name = "search_step"
expected_seconds = 240
settings: dict[str, Any] = {
    "seeds": 3,
    "rounds": 8,
    "threads": 1,
    "pictures": 32,
    "sizes": {"channels": 3, "height": 32, "width": 32, "classes": 10},
    "student": "uniform, half the multiply-accumulates",
    "models": {
        "resnet": {"family": "resnet", "stem": "small", "width": 16, "blocks": [3, 3, 3]},
        "vision transformer": {"family": "transformer", "width": 96, "heads": 3, "hidden": 384, "layers": 6, "patch": 4},
    },
    "losses": {
        "logits": {},
        "pearson": {"pairs": ["stage1", "stage2", "stage3"]},
        "channel": {"pairs": ["stage1", "stage2", "stage3"]},
    },
}


def run(data: Path | None = None) -> Iterator[Row]:
    """Milliseconds of each step, and how often a plain step goes into it (`ratio`): the teacher's, or the student's."""
    torch.set_num_threads(int(settings["threads"]))
    for title, model in settings["models"].items():
        measured = [_measured(model, seed) for seed in range(int(settings["seeds"]))]
        for method in measured[0]:
            for metric in measured[0][method]:
                yield row(title, method, metric, [found[method][metric] for found in measured])


def _measured(model: dict[str, Any], seed: int) -> dict[str, dict[str, float]]:
    rng, device = machine.seed(seed), machine.device()
    chosen, batch = TypeAdapter(WORKLOAD.model_settings).validate_python(model), _batch(rng).to(device)

    def build(architecture: Architecture | None) -> nn.Module:
        return WORKLOAD.model(chosen, settings["sizes"], architecture).to(device)

    searched = interleaved(_search_steps(build(None), batch), int(settings["rounds"]), device)
    teacher = build(None).eval()
    taught = interleaved(_taught_steps(teacher, build(_half(teacher, batch)), batch), int(settings["rounds"]), device)
    return _beside(searched, "plain") | _beside(taught, "student alone")


def _beside(seconds: dict[str, list[float]], reference: str) -> dict[str, dict[str, float]]:
    return {
        method: {"milliseconds": 1000 * median(values), "ratio": ratio(values, seconds[reference])} for method, values in seconds.items()
    }


def _batch(rng: torch.Generator) -> Batch:
    sizes, count = settings["sizes"], int(settings["pictures"])
    shape = (count, sizes["channels"], sizes["height"], sizes["width"])
    image = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    return Batch(image, torch.randint(sizes["classes"], (count,), generator=rng), torch.full((2, sizes["channels"]), 0.5))


def _search_steps(network: nn.Module, batch: Batch) -> dict[str, Step]:
    def loss() -> Tensor:
        return WORKLOAD.loss(WORKLOAD.apply(network, batch), batch)

    macs = cost.macs(network, lambda: WORKLOAD.apply(network, batch))
    structure = Structure(groups_of(network), balance=2.0).to(next(network.parameters()).device)
    return {"plain": plain(loss, network), "dms": searching(network, loss, macs, structure)}


def _half(network: nn.Module, batch: Batch) -> Architecture:
    groups = groups_of(network)
    macs = cost.macs(network, lambda: WORKLOAD.apply(network, batch))
    shares = {group.name: 1.0 for group in groups if group.kind == "width"}
    blocks = {group.name: tuple(range(group.size)) for group in groups if group.kind == "depth"}
    rounding = Rounding(groups, lambda counts: cost.evaluate(macs, counts), 0.5 * cost.total(macs))
    return rounding.fit(shares, blocks, magnitudes(network, groups))


def _taught_steps(teacher: nn.Module, student: nn.Module, batch: Batch) -> dict[str, Step]:
    def teacher_output() -> Output:
        with torch.no_grad():
            return WORKLOAD.apply(teacher, batch)

    def alone() -> Tensor:
        return WORKLOAD.loss(WORKLOAD.apply(student, batch), batch)

    def teacher_asked() -> Tensor:
        teacher_output()
        return alone()

    steps = {"student alone": plain(alone, student), "teacher asked": plain(teacher_asked, student)}
    for method, chosen in settings["losses"].items():
        loss = registry.loss(method)
        module = loss.make(loss.settings(**chosen), WORKLOAD.apply(student, batch), teacher_output())
        module = module.to(next(student.parameters()).device)
        steps[method] = plain(_taught(student, batch, module, teacher_output), student, module)
    return steps


def _taught(student: nn.Module, batch: Batch, loss: nn.Module, teacher_output: Callable[[], Output]) -> Callable[[], Tensor]:
    def objective() -> Tensor:
        output = WORKLOAD.apply(student, batch)
        return WORKLOAD.loss(output, batch) + loss(output, teacher_output())

    return objective
