"""What a training step of a supernet costs under differentiable top-k masks, beside plain training and per-element masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gumbel_softmax
from torch.utils.benchmark import Timer

from stillhouse.space import cost
from stillhouse.space.blueprint import Axis, Blueprint, Group, fixed, groups_of, masked
from stillhouse.space.cost import Cost
from stillhouse.space.structure import Structure, resource_loss

name = "search_cost"
expected_seconds = 60
settings = {"seeds": 5, "seconds_per_timing": 0.5, "threads": 1, "blocks": 8, "classes": 10}

SIZES = ((64, 128), (256, 512))
"""Channels of the trunk (four times as many inside each block), rows of a batch."""


class Block(nn.Module):
    """x + f(norm(x)), searched inside and as a whole."""

    def __init__(self, blueprint: Blueprint, index: int, trunk: Axis, width: int) -> None:
        super().__init__()
        inside = blueprint.width(f"block{index}", width)
        self.norm, self.outer, self.inner = blueprint.layer_norm(trunk), blueprint.gate(trunk), blueprint.gate(inside)
        self.first, self.second = blueprint.linear(trunk, inside), blueprint.linear(inside, trunk)
        self.whole = blueprint.depth_gate("blocks", index)

    def forward(self, trunk: Tensor) -> Tensor:
        """(rows, trunk) -> (rows, trunk)"""
        return trunk + self.whole(self.second(self.inner(self.first(self.outer(self.norm(trunk))).relu())))


class Network(nn.Module):
    """A residual perceptron of `width` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blueprint = blueprint = Blueprint()
        trunk = blueprint.width("trunk", width)
        self.first = blueprint.linear(fixed(width), trunk)
        indices = blueprint.depth("blocks", int(settings["blocks"]))
        self.blocks = nn.Sequential(*(blueprint.block("blocks", index, Block(blueprint, index, trunk, 4 * width)) for index in indices))
        self.gate, self.head = blueprint.gate(trunk), blueprint.linear(trunk, fixed(int(settings["classes"])))

    def forward(self, values: Tensor) -> Tensor:
        """(rows, width) -> (rows, classes)"""
        return self.head(self.gate(self.blocks(self.first(values))))


class PerElement(nn.Module):
    """Two logits an element, of which one Gumbel-softmax sample a step says how much of it stays."""

    def __init__(self, groups: tuple[Group, ...]) -> None:
        super().__init__()
        self.groups = groups
        self.logits = nn.ParameterList([torch.zeros(group.size, 2) for group in groups])

    def forward(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Masks and counts, as `Structure` gives them."""
        masks = {group.name: gumbel_softmax(logits)[:, 0] for group, logits in zip(self.groups, self.logits, strict=True)}
        return masks, {group.name: masks[group.name] if group.kind == "depth" else masks[group.name].sum() for group in self.groups}

    def update(self) -> None:
        """Nothing is kept between steps."""


def run(data: Path | None = None) -> Iterator[dict[str, Any]]:
    """Milliseconds of a step with mean and standard deviation over seeds, and the number of learnable masks."""
    for width, rows in SIZES:
        title = f"{settings['blocks']} blocks, trunk of {width}, {rows} rows"
        timings = [_timings(width, rows, seed) for seed in range(int(settings["seeds"]))]
        for method in timings[0]:
            values = [timing[method] for timing in timings]
            row = {"set": title, "method": method, "metric": "milliseconds", "seeds": len(values)}
            yield row | {"mean": mean(values), "sd": stdev(values)}
        for method, structure in _structures(Network(width)).items():
            count = sum(parameter.numel() for parameter in structure.parameters())
            yield {"set": title, "method": method, "metric": "learnable numbers", "mean": count, "sd": 0.0, "seeds": 1}


def _structures(network: nn.Module) -> dict[str, Structure | PerElement]:
    groups = groups_of(network)
    return {"dms": Structure(groups, balance=2.0), "gumbel, per element": PerElement(groups)}


def _timings(width: int, rows: int, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    network = Network(width)
    batch = torch.randn(rows, width), torch.randint(int(settings["classes"]), (rows,))
    macs = cost.macs(network, lambda: network(batch[0]))
    steps = {"plain": _plain(network, batch)}
    steps |= {method: _searching(network, batch, macs, structure) for method, structure in _structures(network).items()}
    return {method: _milliseconds(step) for method, step in steps.items()}


def _plain(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(network(batch[0]), batch[1]).backward()
        optimizer.step()

    return step


def _searching(network: nn.Module, batch: tuple[Tensor, Tensor], macs: Cost, structure: Structure | PerElement) -> Callable[[], None]:
    optimizer = torch.optim.Adam([*network.parameters(), *structure.parameters()], lr=1e-4)
    target = torch.tensor(0.5 * cost.total(macs), dtype=torch.float64)

    def step() -> None:
        optimizer.zero_grad()
        masks, counts = structure()
        with masked(network, masks):
            task = cross_entropy(network(batch[0]), batch[1])
        (task + resource_loss(cost.evaluate(macs, counts), target).float()).backward()
        optimizer.step()
        structure.update()

    return step


def _milliseconds(step: Callable[[], None]) -> float:
    timer = Timer("step()", globals={"step": step}, num_threads=int(settings["threads"]))
    return 1000 * timer.blocked_autorange(min_run_time=settings["seconds_per_timing"]).median
