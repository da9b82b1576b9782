"""Training steps to be timed: a plain one, one of a supernet under masks, one of a student that is taught."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from torch import Tensor, nn

from stillhouse.space import cost
from stillhouse.space.blueprint import masked
from stillhouse.space.cost import Cost
from stillhouse.space.structure import Structure, resource_loss

Step = Callable[[], None]


def plain(loss: Callable[[], Tensor], *parts: nn.Module) -> Step:
    """Forward, backward and Adam, of all parameters of the parts."""
    optimizer = torch.optim.Adam(nn.ModuleList(parts).parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def searching(network: nn.Module, loss: Callable[[], Tensor], macs: Cost, structure: Structure) -> Step:
    """The same under the structure's masks, towards half the multiply-accumulates: what the search does in a step."""
    target = torch.tensor(0.5 * cost.total(macs), dtype=torch.float64, device=next(network.parameters()).device)

    def objective() -> Tensor:
        masks, counts = structure()
        with masked(network, masks):
            task = loss()
        return task + resource_loss(cost.evaluate(macs, counts), target).to(task.dtype)

    step = plain(objective, network, structure)

    def updated() -> None:
        step()
        structure.update()

    return updated


def interleaved(steps: Mapping[str, Step], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Name -> seconds of each round, in which every step is taken once; one round before them is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            seconds[name].append(_seconds(step, device))
    return {name: values[1:] for name, values in seconds.items()}


def ratio(values: list[float], reference: list[float]) -> float:
    """The median over rounds of one step beside another of the same round."""
    return median(value / other for value, other in zip(values, reference, strict=True))


def _seconds(step: Step, device: torch.device) -> float:
    """Seconds of a step: of the processor on a CPU, whose neighbours disturb it less than the clock."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    _finish(device)
    started = clock()
    step()
    _finish(device)
    return clock() - started


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
