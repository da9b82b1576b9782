"""A search and a distillation of one's own model, without DVC."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import stillhouse
from stillhouse import registry
from stillhouse.contracts.runtime import Clock
from stillhouse.space.given import one_pass

FIT = {"epochs": 1, "learning_rate": 0.01}
LOGITS = [{"loss": "logits", "weight": 2.0, "settings": {"temperature": 2.0}}]


def build(architecture=None):
    blueprint = stillhouse.Blueprint(architecture)
    hidden = blueprint.width("hidden", 8)
    model = nn.Sequential(
        blueprint.linear(stillhouse.fixed(2), hidden), nn.ReLU(), blueprint.gate(hidden), blueprint.linear(hidden, stillhouse.fixed(3))
    )
    model.blueprint = blueprint
    return model


def loss(output, batch):
    return cross_entropy(output.prediction, batch[1])


def score(outputs):
    return {"accuracy": torch.cat([output.prediction.argmax(-1) == batch[1] for output, batch in outputs]).float().mean().item()}


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    points = torch.randn(120, 2)
    loader = DataLoader(TensorDataset(points, points.norm(dim=-1).long().clamp(max=2)), batch_size=20, shuffle=True)
    return stillhouse.Teacher(build(), build, loader, list(loader), loss, score)


def search(teacher, **changes):
    return stillhouse.search(teacher, **({"share": 0.5, "method": "uniform"} | changes))


def states(*models):
    return [{name: value.clone() for name, value in model.state_dict().items()} for model in models]


def test_the_import_costs_no_torch():
    code = "import sys, stillhouse; dir(stillhouse); stillhouse.__version__; stillhouse.UserError; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_public_name_is_there_and_documented():
    assert {*stillhouse.__all__} <= {*dir(stillhouse)}
    assert all(getattr(stillhouse, name).__doc__ for name in stillhouse.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stillhouse.nothing  # noqa: B018


def test_a_budget_may_be_milliseconds(teacher, monkeypatch):
    def clock(task, example, *, runtime, threads):
        return Clock(lambda model: 1.0 + model[0].out_features, {"runtime": runtime, "threads": threads})

    monkeypatch.setattr(registry, "clock", lambda: clock)
    found = search(teacher, share=None, budget={"unit": "latency", "share": 0.5, "runtime": "pt2"})
    assert found.metrics["latency_budget_ms"] == 4.5
    assert found.metrics["latency_predicted_ms"] == pytest.approx(found.metrics["latency_measured_ms"]) == pytest.approx(4)


def test_teacher_and_found_stay_untouched(teacher):
    teacher.model.train()
    generator = torch.get_rng_state()
    found = search(teacher, settings={"fit": FIT})
    before = states(teacher.model, found.model)
    student = stillhouse.distill(teacher, found, losses=LOGITS, fit=FIT)
    torch.testing.assert_close(states(teacher.model, found.model), before, rtol=0, atol=0)
    assert teacher.model.training
    assert all(value.requires_grad for value in teacher.model.parameters())
    torch.testing.assert_close(torch.get_rng_state(), generator)
    assert any(not torch.equal(one, other) for one, other in zip(student.model.parameters(), found.model.parameters(), strict=True))


@pytest.mark.parametrize(("unit", "whole"), [("macs", 20 * 8 * 5), ("parameters", 2 * 8 + 8 + 8 * 3 + 3)])
def test_the_budget_is_a_share_of_the_teachers_cost(teacher, unit, whole):
    found = search(teacher, unit=unit)
    assert found.metrics["budget"] == 0.5 * whole
    assert found.metrics["cost"] <= 0.5 * whole


def test_several_budgets_are_all_kept_and_groups_are_chosen_by_name(teacher):
    budgets = [{"unit": "macs", "share": 0.5}, {"unit": "parameters", "value": 24}]
    found = search(teacher, share=None, budget=budgets)
    assert (found.metrics["budget_macs"], found.metrics["budget_parameters"]) == (0.5 * 20 * 8 * 5, 24)
    assert len(found.architecture.kept["hidden"]) == (24 - 3) // 6
    with pytest.raises(stillhouse.UserError, match="wanted a group that may be searched"):
        search(teacher, keep=["hid*"])
    for both in ({"share": 0.5, "budget": budgets}, {"share": None, "budget": None}):
        with pytest.raises(stillhouse.UserError, match=r"^search - wanted either share or budget - got share="):
            search(teacher, **both)


def test_the_same_seed_gives_the_same_student(teacher):
    def made(seed):
        found = search(teacher, settings={"fit": FIT}, seed=seed)
        return states(stillhouse.distill(teacher, found, losses=LOGITS, fit=FIT, start="fresh", seed=seed).model)

    torch.testing.assert_close(made(1), made(1), rtol=0, atol=0)
    assert not torch.equal(made(1)[0]["0.weight"], made(2)[0]["0.weight"])


def test_a_student_starts_from_the_weights_that_it_is_told(teacher):
    """At a rate that moves nothing, what it starts from is what it ends with."""
    still = FIT | {"learning_rate": 1e-12}
    found = search(teacher)
    inherited, fresh = (states(stillhouse.distill(teacher, found, fit=still, start=start).model)[0] for start in ("inherited", "fresh"))
    torch.testing.assert_close(inherited, states(found.model)[0])
    assert not torch.allclose(fresh["0.weight"], inherited["0.weight"])


def test_a_search_begins_with_the_weights_that_it_is_told(teacher):
    own, fresh = (states(search(teacher, share=1.0, weights=weights).model)[0] for weights in ("teacher", "scratch"))
    torch.testing.assert_close(own, states(teacher.model)[0], rtol=0, atol=0)
    assert not torch.allclose(fresh["0.weight"], own["0.weight"])


def test_of_an_error_the_lowest_epoch_is_kept(teacher):
    """An error that grows at every validation: the first epoch is the best one."""
    errors = iter(range(1, 100))
    worse = replace(teacher, score=lambda outputs: {"error": float(len(list(outputs)) + next(errors))}, higher_is_better=False)
    student = stillhouse.distill(worse, search(worse), fit=FIT | {"epochs": 3})
    assert student.metrics["best_epoch"] == 1
    assert next(iter(search(worse).metrics)) == "found_negative_error"


def test_the_generator_alone_decides_the_order_of_a_loader(teacher):
    one, two, other = ([batch[0] for batch in one_pass(teacher.train, torch.Generator().manual_seed(seed), "train")] for seed in (3, 3, 4))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(torch.cat(one), torch.cat(other))


def test_the_losses_teach(teacher):
    """With no weight on the task, only the teacher's predictions can move the student."""
    found = search(teacher)
    taught = stillhouse.distill(teacher, found, losses=LOGITS, task_weight=0, fit=FIT | {"epochs": 60, "learning_rate": 0.05})
    points = torch.cat([batch[0] for batch in teacher.valid])
    gap = [(model(points).log_softmax(-1) - teacher.model(points).log_softmax(-1)).abs().mean() for model in (found.model, taught.model)]
    assert gap[1] < 0.5 * gap[0]


def test_the_losses_lead_a_search(teacher):
    """With no weight on the task, a search that is trained follows the teacher, and one that trains nothing refuses."""
    fit = FIT | {"epochs": 60, "learning_rate": 0.05}
    points = torch.cat([batch[0] for batch in teacher.valid])
    asked = {"losses": LOGITS, "task_weight": 0}
    cut, taught = search(teacher), search(teacher, settings={"fit": fit}, **asked)
    gap = [(model(points).log_softmax(-1) - teacher.model(points).log_softmax(-1)).abs().mean() for model in (cut.model, taught.model)]
    assert gap[1] < 0.5 * gap[0]
    with pytest.raises(
        stillhouse.UserError, match=r"search: losses - should be left out where nothing is trained - uniform has no settings"
    ):
        search(teacher, **asked)


def test_an_output_of_ones_own_is_taken_as_it_is(teacher):
    def apply(model, batch):
        return stillhouse.Output(model(batch[0]), "values")

    found = search(replace(teacher, apply=apply))
    with pytest.raises(stillhouse.UserError, match="are values"):
        stillhouse.distill(replace(teacher, apply=apply), found, losses=LOGITS, fit=FIT)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train": iter([])}, "teacher.train - wanted a DataLoader or a list"),
        ({"valid": []}, "teacher.valid - wanted a batch at least"),
        ({"build": lambda architecture: nn.Linear(2, 3)}, "attribute `blueprint`"),
        ({"build": lambda architecture: build()}, "is not handed on to Blueprint"),
        ({"model": nn.Linear(2, 3)}, "wanted a network that the teacher's weights fit"),
        ({"apply": lambda model, batch: 1}, "teacher.apply - wanted a stillhouse.Output or a tensor of logits - got a int"),
        ({"loss": lambda output, batch: output.prediction}, r"teacher.loss - wanted a scalar tensor - got shape \(20, 3\)"),
        (
            {"loss": lambda output, batch: output.prediction.detach().sum()},
            "teacher.loss - wanted a loss that depends on the network's answer",
        ),
        ({"score": lambda outputs: 0.5}, "teacher.score - wanted a dictionary"),
    ],
)
def test_a_mistake_in_the_teacher_is_told_in_one_sentence(teacher, changes, sentence):
    with pytest.raises(stillhouse.UserError, match=sentence):
        search(replace(teacher, **changes), settings={"fit": FIT})


def test_an_example_that_is_no_list_of_arguments_is_told():
    with pytest.raises(stillhouse.UserError, match=r"builder - wanted a tuple of arguments, .* - got a Tensor: write \(example,\)$"):
        stillhouse.builder(lambda: nn.Linear(2, 3), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"share": 2.0}, "search: share - Input should be less than or equal to 1 - got 2.0"),
        ({"unit": "joules"}, "search: unit"),
        ({"method": "none"}, "unknown search method 'none'; there are"),
        ({"weights": "other"}, "search: weights - should be teacher or scratch"),
        ({"settings": {"fit": FIT | {"epochs": 0}}}, "search uniform: fit.epochs - Input should be greater than 0 - got 0"),
    ],
)
def test_a_mistake_in_a_setting_is_told_in_one_sentence(teacher, changes, sentence):
    with pytest.raises(stillhouse.UserError, match=sentence):
        search(teacher, **changes)


def test_an_unknown_loss_is_told(teacher):
    with pytest.raises(stillhouse.UserError, match="unknown loss 'none'"):
        stillhouse.distill(teacher, search(teacher), losses=[{"loss": "none"}], fit=FIT)
