"""Forward and backward time of each distillation loss, beside its double loop and beside the mean squared error.

The double loops are the formulas read aloud, one channel or one score at a time; the tests hold the losses to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.benchmark import Timer

from stillhouse.contracts.output import IMAGE, NODES, Feature, Layout, Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses import channel, logits, margin, pearson, regression, squared

name = "losses"
expected_seconds = 60
settings = {"seeds": 5, "seconds_per_timing": 0.2, "threads": 1}

Distance = Callable[[Tensor, Tensor], Tensor]
"""(student, teacher) -> scalar."""


def naive_logits(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 KL(teacher || student) of (rows, classes), averaged over rows."""
    total = student.new_zeros(())
    for ours, theirs in zip(student, teacher, strict=True):
        ours, theirs = (row.div(temperature).softmax(0) for row in (ours, theirs))
        for known, wanted in zip(ours, theirs, strict=True):
            total = total + wanted * (wanted / known).log()
    return temperature**2 * total / len(student)


def naive_margin(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the gaps between column 0 and every other column of (queries, candidates)."""
    total = student.new_zeros(())
    for ours, theirs in zip(student, teacher, strict=True):
        for known, wanted in zip(ours[1:], theirs[1:], strict=True):
            total = total + ((ours[0] - known) - (theirs[0] - wanted)) ** 2
    return total / student[:, 1:].numel()


def naive_pearson(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over channels of 1 - r for (batch, channel, positions), the sums of r taken image by image."""
    total = student.new_zeros(())
    for ours, theirs in zip(student.unbind(1), teacher.unbind(1), strict=True):
        average, other = ours.mean(), theirs.mean()
        product = square = other_square = student.new_zeros(())
        for known, wanted in zip(ours, theirs, strict=True):
            product = product + ((known - average) * (wanted - other)).sum()
            square = square + ((known - average) ** 2).sum()
            other_square = other_square + ((wanted - other) ** 2).sum()
        total = total + 1 - product / (square * other_square).sqrt()
    return total / student.shape[1]


def naive_channel(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """T^2 KL(teacher || student) over the positions of (batch, channel, positions), averaged over batch and channels."""
    total = student.new_zeros(())
    for ours, theirs in zip(student, teacher, strict=True):
        for known, wanted in zip(ours, theirs, strict=True):
            known, wanted = (row.div(temperature).softmax(0) for row in (known, wanted))
            total = total + (wanted * (wanted / known).log()).sum()
    return temperature**2 * total / student[..., 0].numel()


def naive_squared(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of (batch, channel, positions), channel by channel."""
    total = student.new_zeros(())
    for ours, theirs in zip(student.unbind(1), teacher.unbind(1), strict=True):
        total = total + ((ours - theirs) ** 2).sum() / ours.numel()
    return total / student.shape[1]


def naive_regression(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of (rows, values)."""
    total = student.new_zeros(())
    for ours, theirs in zip(student, teacher, strict=True):
        for known, wanted in zip(ours, theirs, strict=True):
            total = total + (known - wanted) ** 2
    return total / student.numel()


@dataclass(frozen=True)
class Case:
    """One loss on one shape; `flat` views a value of that shape as its double loop wants it."""

    set: str
    method: str
    loss: Loss
    naive: Distance
    shape: tuple[int, ...]
    layout: Layout | None = None
    flat: Callable[[Tensor], Tensor] = lambda value: value
    meaning: Literal["classes", "candidates"] = "candidates"

    def output(self, value: Tensor) -> Output:
        """The value as a prediction, or as the feature `map` where the case has a layout."""
        if self.layout is None:
            return Output(value, self.meaning)
        return Output(value.new_zeros(()), "values", {"map": Feature(value, self.layout)})

    def distance(self, student: Tensor, teacher: Tensor) -> Distance:
        """The loss, made from an example pair."""
        chosen = {"pairs": ["map"]} if self.layout else {}
        module = self.loss.make(self.loss.settings(**chosen), self.output(student), self.output(teacher))
        return lambda ours, theirs: module(self.output(ours), self.output(theirs))

    def double_loop(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The same value as the loss's."""
        return self.naive(self.flat(student), self.flat(teacher))


IMAGES = ("8 images of 64 x 32 x 32", (8, 64, 32, 32), IMAGE, lambda value: value.flatten(2))
GRAPH = ("5000 nodes of 64", (5000, 64), NODES, lambda value: value.t().unsqueeze(0))
CASES = [
    Case("128 rows of 64 classes", "logits", logits.LOSS, naive_logits, (128, 64), meaning="classes"),
    Case("128 queries of 64 candidates", "margin", margin.LOSS, naive_margin, (128, 64)),
    Case("128 rows of 64 values", "regression", regression.LOSS, naive_regression, (128, 64)),
] + [
    Case(title, method, loss, naive, shape, layout, flat)
    for title, shape, layout, flat in (IMAGES, GRAPH)
    for method, loss, naive in (
        ("pearson", pearson.LOSS, naive_pearson),
        ("channel", channel.LOSS, naive_channel),
        ("squared", squared.LOSS, naive_squared),
    )
]


def run(data: Path | None = None) -> Iterator[dict[str, Any]]:
    """Three rows per case, in milliseconds, with mean and standard deviation over seeds."""
    for case in CASES:
        timings = [_timings(case, seed) for seed in range(int(settings["seeds"]))]
        for method in timings[0]:
            values = [timing[method] for timing in timings]
            row = {"set": case.set, "method": method, "metric": "milliseconds", "seeds": len(values)}
            yield row | {"mean": mean(values), "sd": stdev(values)}


def _timings(case: Case, seed: int) -> dict[str, float]:
    rng = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(case.shape, generator=rng) for _ in range(2))
    student.requires_grad_()
    methods = {
        case.method: case.distance(student, teacher),
        f"{case.method}, double loop": case.double_loop,
        f"mean squared error, beside {case.method}": mse_loss,
    }
    return {method: _milliseconds(distance, student, teacher) for method, distance in methods.items()}


def _milliseconds(distance: Distance, student: Tensor, teacher: Tensor) -> float:
    def step() -> None:
        torch.autograd.grad(distance(student, teacher), student)

    timer = Timer("step()", globals={"step": step}, num_threads=int(settings["threads"]))
    return 1000 * timer.blocked_autorange(min_run_time=settings["seconds_per_timing"]).median
