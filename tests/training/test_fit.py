"""The training loop: it learns, stops, resumes as if never interrupted, and keeps the best epoch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.training.fit import FitSettings, fit, fit_best

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
    steps = fit(model, objective_of(model), random_batches(), settings, rng, scratch=scratch)
    done = [epoch for _, epoch in zip(range(epochs), steps, strict=False)]
    return model, done


def test_the_loss_falls():
    _, epochs = run(6)
    assert [epoch.index for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].loss < 0.5 * epochs[0].loss


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, schedule):
    settings = SETTINGS.model_copy(update={"schedule": schedule})
    whole, _ = run(6, settings=settings)
    run(3, tmp_path, settings)
    resumed, epochs = run(6, tmp_path, settings)
    assert [epoch.index for epoch in epochs] == [4, 5, 6]
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


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
    with pytest.raises(UserError, match="became nan: lower the learning rate"):
        list(fit(model, lambda batch: model.weight.sum() * math.nan, random_batches(), SETTINGS, torch.Generator()))


def scripted(scores, higher=True, patience=None, scratch=None):
    """Trains one weight that grows by one per epoch, with the given validation scores."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    settings = FitSettings(epochs=len(scores), learning_rate=0.25, optimizer="sgd", patience=patience)
    records = []
    answers = iter(scores)
    epochs = fit(model, lambda batch: -model.weight.sum(), random_batches(), settings, torch.Generator(), scratch=scratch)
    best = fit_best(model, epochs, settings, lambda: {"quality": next(answers)}, records.append, higher_is_better=higher, scratch=scratch)
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
