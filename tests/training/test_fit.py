"""The training loop: it learns, stops, resumes as if never interrupted, and keeps the best epoch."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.training import fit as fit_module
from stillhouse.training.fit import Epoch, FitSettings, fit, fit_best
from stillhouse.training.progress import Progress
from stillhouse.training.teaching import Teaching

SETTINGS = FitSettings(epochs=6, learning_rate=0.05)


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1))


def random_batches() -> Batches:
    def draw(rng):
        for _ in range(4):
            yield torch.randn(16, 3, generator=rng)

    return Batches(draw, 4)


def objective_of(model):
    return lambda batch: (model(batch) - batch.sum(-1, keepdim=True)).square().mean()


def run(epochs: int, scratch=None, settings: FitSettings = SETTINGS) -> tuple[nn.Module, list]:
    model = make_model()
    rng = torch.Generator().manual_seed(1)
    steps = fit(model, objective_of(model), random_batches(), settings, rng, progress=Progress(scratch))
    done = []
    for epoch in steps:
        if len(done) == epochs:  # an epoch is saved when the next one is asked for
            break
        done.append(epoch)
    return model, done


def test_the_loss_falls():
    _, epochs = run(6)
    assert [epoch.index for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].loss < 0.5 * epochs[0].loss


def test_a_pass_without_a_batch_is_told():
    """As of an iterator that is gone through once."""
    model, batches = make_model(), iter([torch.randn(16, 3)])
    trained = fit(model, objective_of(model), Batches(lambda rng: batches, 1), SETTINGS, torch.Generator())
    assert next(trained).index == 1
    with pytest.raises(UserError, match="wanted a batch at least in each pass - pass 2 had none: does `draw` begin anew"):
        next(trained)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, schedule):
    settings = SETTINGS.model_copy(update={"schedule": schedule})
    whole, _ = run(6, settings=settings)
    run(3, tmp_path, settings)
    resumed, epochs = run(6, tmp_path, settings)
    assert [epoch.index for epoch in epochs] == [4, 5, 6]
    assert_equal(whole, resumed)


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for mine, its in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=0)


class Killed(BaseException):
    """Stands for the death of the process."""


@pytest.mark.parametrize("steps", [1, 4, 6, 8, 11])
def test_a_training_killed_within_an_epoch_goes_on_with_the_next_batch(tmp_path, monkeypatch, steps):
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", "0")
    whole, wanted = noisy(tmp_path / "whole")
    with pytest.raises(Killed):
        noisy(tmp_path / "killed", steps)
    resumed, losses = noisy(tmp_path / "killed", seed=7)
    assert_equal(whole, resumed)
    assert losses == wanted[steps // 4 :]


def noisy(folder, killed_after: int | None = None, seed: int = 0) -> tuple[nn.Module, list[float]]:
    """Trains with a loss that draws from every generator there is, and dies before the checkpoint of a step."""
    model, taken = make_model(), 0
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)

    def objective(batch):
        noise = random.random() + random.gauss(0, 1) + numpy.random.standard_normal() + torch.rand(())
        return objective_of(model)(batch) * (1 + 0.1 * noise)

    def count():
        nonlocal taken
        taken += 1
        if killed_after is not None and taken > killed_after:
            raise Killed

    settings, rng = SETTINGS.model_copy(update={"epochs": 3}), torch.Generator().manual_seed(1)
    epochs = fit(model, objective, random_batches(), settings, rng, progress=Progress(folder), after_step=count)
    return model, [epoch.loss for epoch in epochs]


def test_within_an_epoch_nothing_is_saved_that_is_not_long_at_stake(tmp_path):
    with pytest.raises(Killed):
        noisy(tmp_path, 6)
    assert [path.name[:6] for path in tmp_path.iterdir()] == ["000001"]


def test_a_constant_group_keeps_its_rate_under_a_schedule():
    model = make_model()
    groups = [{"params": [model[0].weight]}, {"params": [model[2].weight], "lr": 0.01, "constant": True}]
    seen = []
    settings = SETTINGS.model_copy(update={"schedule": "cosine", "optimizer": "sgd"})
    before = model[2].weight.detach().clone()
    for _ in fit(model, lambda batch: model[2].weight.sum(), random_batches(), settings, torch.Generator(), parameters=groups):
        seen.append(float((before - model[2].weight.detach()).mean()))
        before = model[2].weight.detach().clone()
    assert seen == pytest.approx([0.04] * 6)


def test_clipping_bounds_the_step():
    model = nn.Linear(1, 1, bias=False)
    settings = FitSettings(epochs=1, learning_rate=1.0, optimizer="sgd", clip_value=0.01)
    before = model.weight.item()
    list(fit(model, lambda batch: 1000 * model.weight.sum(), random_batches(), settings, torch.Generator()))
    assert before - model.weight.item() == pytest.approx(4 * 0.01, rel=1e-4)


def test_a_loss_that_is_not_finite_stops_with_a_sentence():
    model = nn.Linear(1, 1)
    with pytest.raises(UserError, match=r"^epoch 1: the training loss became nan: lower the learning rate"):
        list(fit(model, lambda batch: model.weight.sum() * math.nan, random_batches(), SETTINGS, torch.Generator()))


def with_losses(values: list[float], folder: Path) -> Iterator[Epoch]:
    """A training whose steps have these losses, with checkpoints in a folder."""
    model, losses = nn.Linear(1, 1), iter(values)

    def objective(batch: object) -> torch.Tensor:
        return model.weight.sum() * 0 + next(losses)

    return fit(model, objective, random_batches(), SETTINGS, torch.Generator(), progress=Progress(folder))


@pytest.mark.parametrize("checkpoints", ["0", "1000"])
def test_the_first_loss_that_is_not_finite_is_told_whatever_fails_after_it(tmp_path, monkeypatch, checkpoints):
    """Looked at before anything is saved, at an error, and at the end of an epoch: here in the second one, by the step after it."""
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", checkpoints)
    epochs = with_losses([1.0, 1.0, 1.0, 1.0, 1.0, math.inf, math.nan], tmp_path)
    assert next(epochs).loss == 1
    with pytest.raises(UserError, match=r"^epoch 2: the training loss became inf: lower the learning rate"):
        next(epochs)


def test_a_loss_that_is_not_finite_is_never_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", "0")
    epochs = with_losses([1.0, math.nan, 1.0, 1.0], tmp_path)
    with pytest.raises(UserError, match="became nan"):
        next(epochs)
    assert [path.name[:6] for path in tmp_path.iterdir()] == ["000001"], "of the first step"


def test_a_loss_that_is_not_finite_ends_a_long_epoch_early(monkeypatch):
    monkeypatch.setattr(fit_module, "LOOK", 3)
    model, asked = nn.Linear(1, 1), []

    def objective(batch):
        asked.append(batch)
        return model.weight.sum() * math.nan

    with pytest.raises(UserError, match="became nan"):
        list(fit(model, objective, random_batches(), SETTINGS, torch.Generator()))
    assert len(asked) == 3


class Waits(TorchDispatchMode):
    """Counts how often a number is read off a device, for which the device is waited for."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("steps", [4, 40])
def test_no_step_waits_for_the_device(steps):
    """The loss and whether it is finite are read at the end of an epoch, however many steps it has; half of it is the warm-up."""
    torch.manual_seed(0)
    model, teaching = make_model(), Teaching([(1.0, Squares())], warmup_steps=steps / 2)
    settings = FitSettings(epochs=1, learning_rate=0.01, optimizer="sgd", clip_norm=1.0, clip_value=1.0)
    batches = Batches(lambda rng: iter([torch.ones(2, 3)] * steps), steps)
    with Waits() as waits:
        list(fit(model, lambda batch: teaching(*2 * [Output(model(batch), "values")]), batches, settings, torch.Generator()))
    assert waits.number == 2


class Squares(nn.Module):
    """A loss of the student alone."""

    def forward(self, student, teacher):
        return student.prediction.square().mean()


def scripted(scores, higher=True, patience=None, scratch=None):
    """Trains one weight that grows by one per epoch, with the given validation scores."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    settings = FitSettings(epochs=len(scores), learning_rate=0.25, optimizer="sgd", patience=patience)
    records, progress = [], Progress(scratch)
    epochs = fit(model, lambda batch: -model.weight.sum(), random_batches(), settings, torch.Generator(), progress=progress)

    def validate():
        value = scores[round(model.weight.item()) - 1]
        if value is Killed:
            raise Killed
        return {"quality": value}

    best = fit_best(model, epochs, settings, validate, records.append, higher_is_better=higher, progress=progress)
    return model.weight.item(), best, records


def test_the_best_epoch_is_kept():
    weight, best, records = scripted([0.1, 0.9, 0.5])
    assert weight == pytest.approx(2.0)
    assert best == {"valid_quality": 0.9, "best_epoch": 2}
    assert [record["epoch"] for record in records] == [1, 2, 3]


def test_lower_is_better_where_the_workload_says_so():
    weight, best, _ = scripted([0.5, 0.2, 0.9], higher=False)
    assert weight == pytest.approx(2.0)
    assert best["valid_quality"] == 0.2


def test_patience_ends_the_training():
    _, best, records = scripted([0.9, 0.1, 0.1, 0.1, 0.1], patience=2)
    assert best["best_epoch"] == 1
    assert len(records) == 3


@pytest.mark.parametrize("killed_in", [1, 2, 3, 4])
def test_an_epoch_whose_validation_was_killed_is_validated_again(tmp_path, killed_in):
    scores = [0.1, 0.9, 0.5, 0.8]
    with pytest.raises(Killed):
        scripted([*scores[: killed_in - 1], Killed, *scores[killed_in:]], scratch=tmp_path)
    weight, best, records = scripted(scores, scratch=tmp_path)
    assert (weight, best) == (pytest.approx(2.0), {"valid_quality": 0.9, "best_epoch": 2})
    assert [record["epoch"] for record in records] == [1, 2, 3, 4][killed_in - 1 :]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_validation_score_that_is_no_number_stops_with_a_sentence(score):
    with pytest.raises(UserError, match=rf"epoch 2: the validation score quality became {score}.*lower the learning rate"):
        scripted([0.5, score, 0.9])


def test_a_loss_that_grows_past_any_sense_stops_with_a_sentence():
    model = nn.Linear(1, 1, bias=False)
    settings = FitSettings(epochs=9, learning_rate=10, optimizer="sgd")
    with pytest.raises(UserError, match=r"epoch 2: the training diverges, its loss went from .* to .*: lower the learning rate"):
        list(fit(model, lambda batch: model.weight.square().sum(), random_batches(), settings, torch.Generator()))


def test_after_a_death_a_loss_is_still_held_against_the_first_epochs(tmp_path):
    def go(later):
        model = nn.Linear(1, 1, bias=False)
        values = iter([1e4] * 4 if later is None else [later] * 4)

        def objective(batch):
            if (value := next(values, None)) is None:
                raise Killed
            return 0 * model.weight.sum() + value

        settings = FitSettings(epochs=2, learning_rate=0.1)
        return list(fit(model, objective, random_batches(), settings, torch.Generator(), progress=Progress(tmp_path)))

    with pytest.raises(Killed):
        go(None)
    with pytest.raises(UserError, match=r"its loss went from 1e\+04 to 1e\+11"):
        go(1e11)
    assert [epoch.loss for epoch in go(1e7)] == [1e7]
