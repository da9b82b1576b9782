"""stress: what shrinking costs in robustness: teacher and student on the same test data, made worse, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Evaluation, Pair
from stillhouse.contracts.settings import Settings
from stillhouse.runtimes import leaves
from stillhouse.runtimes.program import tensors_read
from stillhouse.training.machine import move
from stillhouse.training.score import EVALUATION_SEED, first_batch, passes

Share = Annotated[float, Field(gt=0)]
Change = Callable[[Tensor, float, torch.Generator], Tensor]


class StressSettings(Settings):
    """How much worse the input is made: normal `noise`, in shares of its deviation, or a share of its entries `missing`."""

    noise: tuple[Share, ...] = (0.1, 0.3)
    missing: tuple[Annotated[Share, Field(lt=1)], ...] = (0.1, 0.3)


def run(pair: Pair[Any], settings: StressSettings, rng: torch.Generator) -> Metrics:
    """The workload's first metric of both models, such as `teacher_accuracy_noise_30` and `student_accuracy_noise_30`.

    The input is the largest tensor of a batch that the student reads, of pixels, series or features, with two axes at least; its mean
    and deviation are those of its batch. What is missing has the mean. Answers are compared with the data as they were. Raises UserError
    where no numbers are read, as by models of words and of triples.
    """
    name = _input(pair)
    found: Metrics = {}
    for kind, change, levels in (("noise", _noisy, settings.noise), ("missing", _missing, settings.missing)):
        for level in levels:
            seed = int(torch.randint(2**62, (), generator=rng))
            for who, model in pair.models.items():
                scored = pair.workload.score(_answers(pair, model, name, change, level, torch.Generator().manual_seed(seed)))
                metric = next(iter(scored))
                found[f"{who}_{metric}_{kind}_{100 * level:g}".replace(".", "_")] = scored[metric]
    return found


def _input(pair: Pair[Any]) -> str:
    """The path of the input in a batch; a tensor that batches share is a fact of the data."""
    batch, other = (dict(leaves.of(next(iter(split.draw(torch.Generator().manual_seed(0)))))) for split in (pair.test, pair.train))
    seen = tensors_read(pair.workload, pair.student, first_batch(pair.test, pair.device))
    sizes = {
        name: value.numel()
        for name, value in seen.items()
        if isinstance(value, Tensor) and _numbers(value) and batch[name] is not other[name]
    }
    if not sizes:
        raise UserError(f"stress wants a network that reads numbers with two axes at least, this one reads {', '.join(seen)}")
    return max(sizes, key=lambda name: sizes[name])


def _numbers(value: Tensor) -> bool:
    return value.dim() > 1 and (value.is_floating_point() or value.dtype == torch.uint8)


def _answers(
    pair: Pair[Any], model: nn.Module, name: str, change: Change, level: float, rng: torch.Generator
) -> Iterator[tuple[Output, Any]]:
    """The model's answers to the worse batches, with the batches as they were."""
    for batch in pair.test.draw(torch.Generator().manual_seed(EVALUATION_SEED)):
        value = dict(leaves.of(batch))[name]
        assert isinstance(value, Tensor)
        worse = leaves.put(batch, {name: _like(value, change(value.float(), level, rng))})
        for output, _ in passes(pair.workload, model, Batches(partial(_one, worse), 1)):
            yield output, move(batch, pair.device)


def _one(batch: Any, rng: torch.Generator) -> Iterator[Any]:
    yield batch


def _noisy(value: Tensor, level: float, rng: torch.Generator) -> Tensor:
    return value + level * value.std() * torch.randn(value.shape, generator=rng).to(value.device)


def _missing(value: Tensor, level: float, rng: torch.Generator) -> Tensor:
    return torch.where((torch.rand(value.shape, generator=rng) < level).to(value.device), value.mean(), value)


def _like(value: Tensor, worse: Tensor) -> Tensor:
    return worse.to(value.dtype) if value.is_floating_point() else worse.round().clamp(0, 255).to(value.dtype)


EVALUATION = Evaluation(StressSettings, run)
