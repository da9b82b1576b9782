"""Search and distil a model of one's own, with its own data loaders: what the verbs do, without DVC and without files."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal

import numpy
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from stillhouse import registry
from stillhouse.contracts import looked
from stillhouse.contracts.data import Batch, Data, Log, Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.shown import Shown
from stillhouse.space import built, given
from stillhouse.space.blueprint import Architecture
from stillhouse.training import machine
from stillhouse.training.budget import Budget, Budgets
from stillhouse.training.fit import FitSettings
from stillhouse.training.lessons import Asked
from stillhouse.training.problem import Networks, pose, solve
from stillhouse.training.score import first_batch
from stillhouse.training.teaching import TeachingSettings, WeightedLoss, train
from stillhouse.training.timing import Bench


def first_element(model: nn.Module, batch: Any) -> Any:
    """Asks a model the first element of a tuple or list, such as x of (x, y); any other batch as a whole."""
    return model(batch[0] if isinstance(batch, tuple | list) else batch)


@dataclass(frozen=True)
class Teacher(Generic[Batch]):
    """A trained model with all that students of it are made by; its weights and its mode are never changed.

    `train` and `valid` are gone through many times: data loaders, or lists of batches. A batch is whatever they yield; tensors in tuples,
    lists and dictionaries are moved to the device (`STILLHOUSE_DEVICE`, by default the first CUDA device, else the CPU).
    """

    model: nn.Module
    """Of the kind that `build(None)` gives, at least with the same names and shapes of weights."""
    build: Callable[[Architecture | None], nn.Module]
    """A new network: the full one for None, else the static one of that architecture. One that is built with a `Blueprint` hands the
    architecture on to it and has it as its attribute `blueprint`; of any other network `stillhouse.builder(factory, inputs)` makes this."""
    train: Iterable[Batch]
    valid: Iterable[Batch]
    loss: Callable[[Output, Batch], Tensor]
    """The task's own loss, a scalar."""
    score: Callable[[Iterable[tuple[Output, Batch]]], Metrics]
    """Metrics over a whole split by name; the first is the one to beat."""
    higher_is_better: bool = True
    apply: Callable[[nn.Module, Batch], Output | Tensor] = first_element
    """How a model meets a batch: an `Output`, or a tensor (..., classes) of logits."""
    shown: Callable[[Batch], Shown] = Shown
    """What of a batch losses that want more than outputs are shown, such as its labels or edges; by default the batch alone."""

    def __post_init__(self) -> None:
        """Raises UserError at what is of a wrong kind."""
        built.ready(self.model, "teacher.model")
        for name, arguments in _TAKEN.items():
            given.require_function(getattr(self, name), arguments, f"teacher.{name} - wanted a function {name}")
        for name in ("train", "valid"):
            given.require_passes(getattr(self, name), f"teacher.{name}")
        if not isinstance(self.higher_is_better, bool):
            raise UserError(f"teacher.higher_is_better - wanted True or False - got {given.got(self.higher_is_better)}")


_TAKEN = {"build": ("architecture",), "loss": ("output", "batch"), "score": ("outputs",), "apply": ("model", "batch"), "shown": ("batch",)}
"""What each function of a teacher is called with."""


@dataclass(frozen=True)
class Student:
    """A small network with its architecture and what was measured of it."""

    model: nn.Module
    architecture: Architecture
    metrics: Metrics
    """On the validation split, named `found_...` by a search and `valid_...` by a distillation; costs in MACs of the first validation
    batch or in parameters."""


def search(
    teacher: Teacher[Any],
    *,
    share: float | None = None,
    unit: Literal["macs", "parameters", "memory", "cache", "latency"] = "macs",
    budget: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    only: Sequence[str] = (),
    keep: Sequence[str] = (),
    method: str = "dms",
    settings: Any = None,
    weights: Literal["teacher", "scratch"] = "teacher",
    losses: Sequence[Mapping[str, Any]] = (),
    task_weight: float = 1.0,
    seed: int = 0,
    log: Log | None = None,
) -> Student:
    """Finds the architecture of a student that costs at most `share` (in (0, 1]) of what its teacher costs in `unit`.

    Or give a `budget` in place of both, as in `params.yaml`: {"unit": "latency", "value": 2.5, "runtime": "onnx"}, or a list of such that
    must all be kept. Milliseconds are measured for some forty networks, with the first validation batch. `only` and `keep` are patterns of
    names of groups that alone, or never, become smaller. `method` is a search by its name, `settings` its settings or a dictionary of
    them; `weights` is what the search begins with; what it trains is trained on `losses` too, as in `distill`. The same seed gives the same
    student; the process's own random generators stand afterwards as before. `log` takes a dictionary of progress. Raises UserError at a
    setting, network, loader or budget that cannot be, or if a loss refuses the network.
    """
    given.require_kind(teacher, Teacher, "search: teacher")
    given.require_call(log, "search: log")
    only, keep = given.patterns(only, "search: only"), given.patterns(keep, "search: keep")
    part = registry.search(method)
    chosen = _valid(part.settings, {} if settings is None else settings, f"search {method}")
    if (share is None) == (budget is None):
        raise UserError(f"search - wanted either share or budget - got share={share!r} and budget={budget!r}")
    limits = _valid(Budgets, {"unit": unit, "share": share} if budget is None else budget, "search")
    taught = given.losses(losses, "search: losses")
    asked = _asked(taught, task_weight, getattr(chosen, "fit", None), method) if taught else None
    with _seeded(seed) as rng:
        data = _data(teacher)
        bench = Bench(registry.clock(), lambda size: first_batch(data.valid, torch.device("cpu"))) if _timed(limits) else None
        networks = _networks(teacher, weights)
        problem = pose(_Task(teacher), data, networks, limits, only=only, keep=keep, log=log or _silent, bench=bench, asked=asked)
        best, facts = solve(problem, part, chosen, rng)
        model = problem.static(best.architecture)
        if best.weights is not None:
            model.load_state_dict(best.weights)
    return Student(model.eval(), best.architecture, {f"found_{name}": value for name, value in best.metrics.items()} | facts)


def distill(
    teacher: Teacher[Any],
    found: Student,
    *,
    fit: FitSettings | Mapping[str, Any],
    losses: Sequence[Mapping[str, Any]] = (),
    task_weight: float = 1.0,
    warmup_epochs: float = 0.0,
    start: Literal["inherited", "fresh"] = "inherited",
    seed: int = 0,
    log: Log | None = None,
) -> Student:
    """Trains a student of the found architecture on the task and on the teacher's outputs; `found` itself stays as it is.

    `losses` are dictionaries such as {"loss": "logits", "weight": 1.0, "settings": {"temperature": 2.0}}; without any, the teacher is not
    asked. `start` is the weights of `found`, or fresh ones; the epoch that is best on the validation split is kept. Seed and `log` as in
    `search`. Raises UserError at a setting that cannot be, or if a loss refuses the two models.
    """
    given.require_kind(teacher, Teacher, "distill: teacher")
    given.require_kind(found, Student, "distill: found")
    given.require_call(log, "distill: log")
    parts, weighted = _named(given.losses(losses, "distill: losses"), "distill")
    values = {"losses": weighted, "task_weight": task_weight, "warmup_epochs": warmup_epochs, "start": start, "fit": fit}
    settings: TeachingSettings = _valid(TeachingSettings, values, "distill")
    with _seeded(seed) as rng:
        model = _built(teacher, found.architecture)
        if start == "inherited":
            built.filled(model, found.model, "distill: found - wanted a student of this teacher")
        master = _full(teacher).eval().requires_grad_(False) if parts else None
        metrics = train(_Task(teacher), _data(teacher), model, master, settings, parts, rng=rng, log=log or _silent)
    return Student(model.eval(), found.architecture, metrics)


@dataclass(frozen=True)
class _Task:
    """A teacher's functions, with one sentence for each that gives something else than it should."""

    teacher: Teacher[Any]
    split: None = None

    @property
    def shown(self) -> Callable[[Any], Shown]:
        return self.teacher.shown

    @property
    def higher_is_better(self) -> bool:
        return self.teacher.higher_is_better

    def apply(self, model: nn.Module, batch: Any) -> Output:
        output = self._answer(model, batch)
        if not isinstance(output, Output | Tensor):
            raise UserError(f"teacher.apply - wanted a stillhouse.Output or a tensor of logits - got a {type(output).__name__}")
        found = output.prediction if isinstance(output, Output) else output
        if not isinstance(found, Tensor) or not found.is_floating_point():
            raise UserError(f"teacher.apply - wanted a prediction of numbers with a fraction - got {looked.kind(found)}: give logits")
        return output if isinstance(output, Output) else Output(found, "classes")

    def _answer(self, model: nn.Module, batch: Any) -> Any:
        """Raises UserError where the model refuses what is no tensor and nobody said how it meets that."""
        item = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if self.teacher.apply is not first_element or isinstance(item, Tensor):
            return self.teacher.apply(model, batch)
        try:
            return model(item)
        except (TypeError, AttributeError, LookupError) as error:
            wanted, remedy = "wanted a function apply(model, batch)", "give apply=lambda model, batch: model(batch['name'])"
            got = f"none, and {type(model).__name__} refuses a {type(item).__name__} ({type(error).__name__}: {error!s:.200})"
            raise UserError(f"teacher.apply - {wanted} - got {got}: {remedy}") from error

    def loss(self, output: Output, batch: Any) -> Tensor:
        value = self.teacher.loss(output, batch)
        if not isinstance(value, Tensor) or value.dim():
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise UserError(f"teacher.loss - wanted a scalar tensor - got {got}")
        if output.prediction.requires_grad and not value.requires_grad:
            raise UserError("teacher.loss - wanted a loss that depends on the network's answer - got one without a gradient")
        if not output.prediction.numel() and not value.isfinite():  # only of an empty batch is the device waited for
            got = f"a prediction of shape {tuple(output.prediction.shape)}"
            raise UserError(f"teacher.loss - wanted a row at least of each batch - got {got}: leave empty batches out")
        return value

    def score(self, outputs: Iterable[tuple[Output, Any]]) -> Metrics:
        metrics = self.teacher.score(outputs)
        if not isinstance(metrics, dict) or not metrics:
            raise UserError(f"teacher.score - wanted a dictionary such as {{'accuracy': 0.9}} - got {metrics!r}")
        return metrics


def _silent(record: Mapping[str, Any]) -> None:
    pass


def _asked(losses: Sequence[Mapping[str, Any]], task_weight: float, fit: FitSettings | None, method: str) -> Asked:
    if fit is None:
        raise UserError(f"search: losses - should be left out where nothing is trained - {method} has no settings.fit")
    parts, weighted = _named(losses, "search")
    return Asked(_valid(TeachingSettings, {"losses": weighted, "task_weight": task_weight, "fit": fit}, "search"), parts)


def _named(losses: Sequence[Mapping[str, Any]], verb: str) -> tuple[list[Loss], list[WeightedLoss]]:
    """The losses of some dictionaries, and these with their own settings."""
    parts = [registry.loss(str(item.get("loss"))) for item in losses]
    return parts, [_weighted(item, part.settings, verb) for item, part in zip(losses, parts, strict=True)]


def _weighted(item: Mapping[str, Any], kind: type[Any], verb: str) -> WeightedLoss:
    settings = _valid(kind, item.get("settings") or {}, f"{verb} - loss {item['loss']}")
    weighted: WeightedLoss = _valid(WeightedLoss, {**item, "settings": settings}, f"{verb} - losses")
    return weighted


def _timed(limits: Sequence[Budget]) -> bool:
    return any(budget.unit == "latency" for budget in limits)


def _valid(kind: Any, value: Any, where: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        place = ".".join(map(str, mistake["loc"])) or ("budget" if kind is Budgets else "settings")
        raise UserError(f"{where}: {place} - {mistake['msg']} - got {mistake['input']!r}") from None


@contextmanager
def _seeded(seed: int) -> Iterator[torch.Generator]:
    """Seeded generators, and gradients, for the time of the block; a notebook's own go on afterwards as if nothing had been."""
    seed = given.seed(seed)
    states, device = (random.getstate(), numpy.random.get_state()), machine.device()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.inference_mode(False), torch.enable_grad():
            yield machine.seed(seed)
    finally:
        random.setstate(states[0])
        numpy.random.set_state(states[1])


def _networks(teacher: Teacher[Any], weights: str) -> Networks:
    if weights not in ("teacher", "scratch"):
        raise UserError(f"search: weights - should be teacher or scratch - got {weights!r}")
    whole = _full(teacher).eval()
    fresh = weights == "scratch"
    return Networks(whole, whole, lambda: _built(teacher, None) if fresh else _full(teacher), partial(_built, teacher))


def _full(teacher: Teacher[Any]) -> nn.Module:
    return built.filled(_built(teacher, None), teacher.model, "teacher.build(None) - wanted a network that the teacher's weights fit")


def _built(teacher: Teacher[Any], architecture: Architecture | None) -> nn.Module:
    return built.built(teacher.build, architecture, "teacher.build").to(machine.device())


def _data(teacher: Teacher[Any]) -> Data[Any]:
    return Data(given.batches(teacher.train, "teacher.train"), given.batches(teacher.valid, "teacher.valid"))
