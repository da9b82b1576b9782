"""teach: train the big model that students are made from, or take one that is trained already."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer, model_validator
from torch import nn

from stillhouse.contracts.data import Data, Log, Metrics
from stillhouse.contracts.parts import Workload
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.training import checkpoint, curve, facts, machine, ranks, table, tried
from stillhouse.training import given as weights
from stillhouse.training.fit import FitSettings, Objective, fit, fit_best
from stillhouse.training.given import Given
from stillhouse.training.nested import Nested, NestedSettings
from stillhouse.training.progress import Progress
from stillhouse.training.score import first_batch, score
from stillhouse.training.scored import scored
from stillhouse.training.teaching import untaught


class TeachSettings(Settings):
    """A teacher: its network, what it is trained on, and how.

    With `given` weights, or of a network that is `trained` by its own settings, it begins with them, and without `fit` ends there.
    """

    model: Any
    data: Any
    given: Given | None = None
    fit: FitSettings | None
    """May only be missing where there are weights already."""
    nested: NestedSettings | None = None
    """Trains prefixes of the network too, so that students of any size can be cut out of it."""

    @model_validator(mode="before")
    @classmethod
    def _given_alone(cls, values: Any) -> Any:
        has_weights = isinstance(values, dict) and (values.get("given") is not None or _trained_already(values.get("model")))
        return {"fit": None, **values} if has_weights else values

    @field_validator("fit")
    @classmethod
    def _some_weights(cls, fit: FitSettings | None, info: ValidationInfo) -> FitSettings | None:
        if fit is None and info.data.get("given") is None and not _trained_already(info.data.get("model")):
            raise ValueError("should say how the network is trained, unless given names its weights")
        if fit is None and (given := info.data.get("given")) and given.part:
            raise ValueError(f"should say how the network is trained, of which given.part, {given.part}, names the weights of a part")
        return fit

    @model_validator(mode="after")
    def _nested(self) -> TeachSettings:
        if self.nested and self.fit is None:
            raise ValueError("nested should be left out where nothing is trained: there is no fit")
        if self.nested and self.fit and self.fit.compile:
            raise ValueError("fit.compile should be false where nested is given: each step runs other networks")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing: results of before the setting keep their fingerprint."""
        values: dict[str, Any] = plain(self)
        return {name: value for name, value in values.items() if (name, value) != ("nested", None)}


def _trained_already(model: Any) -> bool:
    """What is still a plain block has mistakes, which are told: whether it wants a fit cannot be said."""
    return isinstance(model, dict) or bool(getattr(model, "trained", False))


SETTINGS = TeachSettings


def teach(
    settings: TeachSettings,
    workload: Workload[Any],
    *,
    prepared: Path,
    teacher: Path,
    rng: torch.Generator,
    log: Log,
    scratch: Path | None = None,
) -> Metrics:
    """Keeps the epoch that is best on the validation split, in the mean of the whole network and the smallest where that is `nested`; of a
    teacher that is not trained, its given weights as they are."""
    data, device = workload.load(settings.data, prepared), machine.device()
    model = workload.model(settings.model, data.sizes, None).to(device)
    example = first_batch(data.valid, device)
    if settings.given:
        weights.load(model, settings.given.file, settings.given.part)
    tried.require_taken(workload, model, data.sizes, example)
    progress = Progress(scratch)
    record = curve.Curve(log, progress)
    best = _trained(settings, workload, model, data, rng, record, progress) if settings.fit else scored(workload, model, data, record)
    if not ranks.first():
        return best
    description = {"model": settings.model.model_dump(mode="json"), "sizes": dict(data.sizes), "architecture": None}
    checkpoint.write_model(teacher, model.state_dict(), description)
    table.keep(workload, prepared, teacher)
    if of_others := getattr(settings.model, "require_context", None):
        of_others(teacher / table.CONTEXT)
    facts.write(teacher, facts.find(workload, model, data.train))
    record.write(teacher / "curve.csv")
    return best | cost.summary(model, lambda: workload.apply(model, example))


def _trained(
    settings: TeachSettings,
    workload: Workload[Any],
    model: nn.Module,
    data: Data[Any],
    rng: torch.Generator,
    record: curve.Curve,
    progress: Progress,
) -> Metrics:
    assert settings.fit
    parts, objective, validate = _lesson(settings.nested, workload, model, data, rng)
    return fit_best(
        model,
        fit(parts, objective, data.train, settings.fit, rng, progress=progress, split=workload.split),
        settings.fit,
        validate,
        record,
        higher_is_better=workload.higher_is_better,
        progress=progress,
    )


def _lesson(
    nested: NestedSettings | None, workload: Workload[Any], model: nn.Module, data: Data[Any], rng: torch.Generator
) -> tuple[nn.Module, Objective, Callable[[], Metrics]]:
    """All that is checkpointed, what is minimised, and what an epoch is chosen by."""
    if nested is None:
        return model, untaught(workload, model), lambda: score(workload, model, data.valid)
    lesson = Nested(nested, workload, model, int(torch.randint(2**62, (), generator=rng))).to(next(model.parameters()).device)
    return nn.ModuleDict({"network": model, "nested": lesson}), partial(lesson, model), partial(lesson.validate, model, data)
