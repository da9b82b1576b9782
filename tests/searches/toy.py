"""Search problems for tests: one with a known solution (which inputs of a linear map does the truth use?), one with depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Data, Metrics
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Problem
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, fixed, groups_of
from tests.space.networks import Mixed

Rows = tuple[Tensor, Tensor]
Truth = Mapping[str, tuple[float, ...]]
"""Group name -> the true coefficient of each of its inputs; 0 for an input that is only noise."""

EVEN: Truth = {"left": (0, 2, 0, -1.5, 0, 1.8), "right": (-2, 0, 0, 1.6, 1.4, 0)}
"""Three useful inputs of six in each group: the best half of the network has as many of each."""
UNEVEN: Truth = {"left": (1.3, 2, -1.2, -1.5, 1.1, 1.8), "right": (0, 0, 0, 0, 0, 0)}
"""All of one group is useful and nothing of the other."""
HEAVY: Truth = {"left": (0.03, 10, 0.1, 0.3, 3, 0.01), "right": (0.1, 3, 0.03, 0.01, 10, 0.3)}
"""Coefficients, and so importances, over many orders of magnitude."""

TRAINING = {"epochs": 12, "learning_rate": 0.02}
"""Enough to solve these problems in about a second."""


class Selection(nn.Module):
    """A linear map whose inputs are the elements of the groups; a static one picks its inputs out of all."""

    def __init__(self, truth: Truth, architecture: Architecture | None = None) -> None:
        super().__init__()
        blueprint, axis, kept, offset = Blueprint(architecture), Axis(()), [], 0
        for name, values in truth.items():
            axis += blueprint.width(name, len(values))
            kept += [offset + index for index in (architecture.kept[name] if architecture else range(len(values)))]
            offset += len(values)
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.gate, self.linear = blueprint.gate(axis), blueprint.linear(axis, fixed(1), bias=False)
        self.blueprint = blueprint

    def forward(self, values: Tensor) -> Tensor:
        """(rows, all inputs) -> (rows,)"""
        return self.linear(self.gate(values[:, self.kept])).squeeze(-1)


def problem(
    truth: Truth = EVEN, *, share: float = 0.5, inherited: bool = True, log: Any = lambda record: None, noise: float = 1.0
) -> Problem[Rows]:
    """`inherited`: the supernet starts near the true coefficients, as one with a teacher's weights does; else at random.

    `noise` is the deviation of inputs without a coefficient, that of all others being 1.
    """
    model = Selection(truth)
    train, valid = _rows(truth, 256, 1, noise), _rows(truth, 128, 2, noise)
    macs = cost.macs(model, lambda: model(train[0]))
    return Problem(
        groups=groups_of(model),
        supernet=lambda: _supernet(truth, inherited),
        static=lambda architecture: Selection(truth, architecture),
        cost=lambda counts: cost.evaluate(macs, counts),
        budget=share * cost.total(macs),
        data=Data(_batches(train, 32), _batches(valid, 128)),
        apply=lambda model, batch: Output(model(batch[0]), "values"),
        loss=lambda output, batch: (output.prediction - batch[1]).square().mean(),
        validate=lambda model: _explained(model, valid),
        log=log,
    )


def best(truth: Truth) -> Architecture:
    """The inputs that the truth uses; of a group without any, the one that must stay is not counted here."""
    return Architecture({name: tuple(index for index, value in enumerate(values) if value) for name, values in truth.items()})


def deep_problem(share: float = 0.4) -> Problem[Any]:
    """A network with concatenation, norms and three removable blocks, on noise: only its costs are of interest."""
    model, rows = Mixed(), 64
    generator = torch.Generator().manual_seed(1)
    ids, values = torch.randint(7, (rows,), generator=generator), torch.randn(rows, 4, generator=generator)
    target = torch.randn(rows, 3, generator=generator)
    macs = cost.macs(model, lambda: model(ids, values))
    split = Batches(lambda rng: iter(list(zip(ids.split(16), values.split(16), target.split(16), strict=True))), 4)
    return Problem(
        groups=groups_of(model),
        supernet=Mixed,
        static=Mixed,
        cost=lambda counts: cost.evaluate(macs, counts),
        budget=share * cost.total(macs),
        data=Data(split, split),
        apply=lambda model, batch: Output(model(batch[0], batch[1]), "values"),
        loss=lambda output, batch: (output.prediction - batch[2]).square().mean(),
        validate=lambda model: {"score": -float((model.eval()(ids, values) - target).square().mean().detach())},
        log=lambda record: None,
    )


def _supernet(truth: Truth, inherited: bool) -> nn.Module:
    model = Selection(truth)
    if inherited:
        exact = torch.tensor([value for values in truth.values() for value in values])
        noise = torch.randn(len(exact), generator=torch.Generator().manual_seed(3))
        model.linear.weight.data.copy_(exact + 0.2 * noise)
    return model


def _rows(truth: Truth, count: int, seed: int, noise: float) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    coefficients = torch.tensor([value for values in truth.values() for value in values])
    values = torch.randn(count, len(coefficients), generator=generator) * torch.where(coefficients == 0, noise, 1.0)
    return values, values @ coefficients + 0.1 * torch.randn(count, generator=generator)


def _batches(rows: Rows, size: int) -> Batches[Rows]:
    def draw(rng: torch.Generator) -> Iterator[Rows]:
        for index in torch.randperm(len(rows[0]), generator=rng).split(size):
            yield rows[0][index], rows[1][index]

    return Batches(draw, len(rows[0]) // size)


def _explained(model: nn.Module, rows: Rows) -> Metrics:
    with torch.no_grad():
        error = (model(rows[0]) - rows[1]).square().mean()
    return {"explained": 1 - float(error / rows[1].var())}
