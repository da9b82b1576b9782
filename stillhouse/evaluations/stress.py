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
Worsen = Callable[[Any, torch.Generator], Any]
"""worsen(batch, rng) -> the batch, made worse."""


class StressSettings(Settings):
    """How much worse the data are made: `noise`, in shares of the input's deviation, and the shares of its entries that are `missing`.

    `edges` are shares of a graph's edges that are missing, where the workload says how.
    """

    noise: tuple[Share, ...] = (0.1, 0.3)
    missing: tuple[Annotated[Share, Field(lt=1)], ...] = (0.1, 0.3)
    edges: tuple[Annotated[Share, Field(lt=1)], ...] = (0.1, 0.3)


def run(pair: Pair[Any], settings: StressSettings, rng: torch.Generator) -> Metrics:
    """The workload's first metric of both models, such as `teacher_accuracy_noise_30` and `student_accuracy_noise_30`.

    The input is the largest tensor of a batch that the student reads, of pixels, series or features, with two axes at least; its mean
    and deviation are those of its batch. Noise is normal, and what is missing has the mean. Answers are compared with the data as they
    were. Raises UserError where there are neither numbers nor edges to make worse, as in texts.
    """
    found: Metrics = {}
    for name, worsen in _ways(pair, settings):
        seed = int(torch.randint(2**62, (), generator=rng))
        for who, model in pair.models.items():
            scored = pair.workload.score(_answers(pair, model, worsen, torch.Generator().manual_seed(seed)))
            metric = next(iter(scored))
            found[f"{who}_{metric}_{name}"] = scored[metric]
    return found


def _ways(pair: Pair[Any], settings: StressSettings) -> list[tuple[str, Worsen]]:
    """Those that suit the workload, by kind and level in percent."""
    seen = tensors_read(pair.workload, pair.student, first_batch(pair.test, pair.device))
    inputs = {name: value.numel() for name, value in seen.items() if isinstance(value, Tensor) and _numbers(value)}
    ways: list[tuple[str, Worsen]] = []
    if inputs:
        name = max(inputs, key=lambda one: inputs[one])
        ways += [(_named("noise", level), partial(_changed, name, _noisy, level)) for level in settings.noise]
        ways += [(_named("missing", level), partial(_changed, name, _missing, level)) for level in settings.missing]
    if pair.workload.thinned:
        ways += [(_named("edges", level), partial(pair.workload.thinned, level)) for level in settings.edges]
    if not ways:
        raise UserError(f"stress wants a network that reads numbers with two axes at least, or edges; this one reads {', '.join(seen)}")
    return ways


def _numbers(value: Tensor) -> bool:
    return value.dim() > 1 and (value.is_floating_point() or value.dtype == torch.uint8)


def _named(kind: str, level: float) -> str:
    return f"{kind}_{100 * level:g}".replace(".", "_")


def _answers(pair: Pair[Any], model: nn.Module, worsen: Worsen, rng: torch.Generator) -> Iterator[tuple[Output, Any]]:
    """The model's answers to the worse batches, with the batches as they were."""
    for batch in pair.test.draw(torch.Generator().manual_seed(EVALUATION_SEED)):
        worse = worsen(batch, rng)
        for output, _ in passes(pair.workload, model, Batches(partial(_one, worse), 1)):
            yield output, move(batch, pair.device)


def _one(batch: Any, rng: torch.Generator) -> Iterator[Any]:
    yield batch


def _changed(name: str, change: Change, level: float, batch: Any, rng: torch.Generator) -> Any:
    value = dict(leaves.of(batch))[name]
    assert isinstance(value, Tensor)
    worse = change(value.float(), level, rng)
    return leaves.put(batch, {name: worse.to(value.dtype) if value.is_floating_point() else worse.round().clamp(0, 255).to(value.dtype)})


def _noisy(value: Tensor, level: float, rng: torch.Generator) -> Tensor:
    return value + level * value.std() * torch.randn(value.shape, generator=rng)


def _missing(value: Tensor, level: float, rng: torch.Generator) -> Tensor:
    return torch.where(torch.rand(value.shape, generator=rng) < level, value.mean(), value)


EVALUATION = Evaluation(StressSettings, run)
