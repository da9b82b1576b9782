"""What a reader of a notebook can mend is told in one sentence: a wrong argument, network, batch or mode of PyTorch."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn

import stillhouse
from stillhouse.space.given import one_pass
from tests.test_library import FIT, LOGITS, build, loss, score, search

ROWS = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
BATCHES = [(part, part.norm(dim=-1).long().clamp(max=2)) for part in ROWS.split(10)]
EMPTY = [(ROWS[:0], BATCHES[0][1][:0])]
TRAINED = {"method": "dms", "settings": {"fit": FIT, "structure_learning_rate": 0.02}}


class Bare(nn.Module):
    def forward(self, rows):
        return torch.cat([rows, rows[:, :1]], 1)


class Plain(nn.Module):
    def __init__(self, lazy=False):
        super().__init__()
        self.first, self.last = nn.LazyLinear(8) if lazy else nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, rows):
        return self.last(self.first(rows).relu())


@pytest.fixture
def teacher():
    return stillhouse.Teacher(build(), build, BATCHES, BATCHES, loss, score)


def told(sentence):
    return pytest.raises(stillhouse.UserError, match=re.escape(sentence))


def distill(teacher, **changes):
    return stillhouse.distill(teacher, search(teacher), **({"fit": FIT} | changes))


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        (Bare, "wanted a network with weights - it has none: if its layers lie in a list, let it be an nn.ModuleList"),
        (lambda: Plain(lazy=True), "got first.weight of a lazy layer, which learns its size from a batch: run one batch through it first"),
        (lambda: None, "builder, factory - wanted a torch.nn.Module - got a NoneType"),
        (lambda: Plain, "builder, factory - wanted a network - got the class Plain: write Plain()"),
        (3, "builder, factory - wanted a function factory() - got 3"),
        (lambda size: Plain(), "builder, factory - wanted a function factory() - missing a required argument: 'size'"),
        (Plain(), "builder, factory - wanted a function that gives a new network - got a Plain itself: give its class"),
    ],
)
def test_a_factory_that_gives_no_network_of_known_weights_is_told(factory, sentence):
    with told(sentence):
        stillhouse.builder(factory, (ROWS,))()


@pytest.mark.parametrize("verb", [search, distill])
@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        (
            ["logits"],
            """losses - wanted a list of dictionaries such as {"loss": "logits"} - got 'logits' in it: write {"loss": "logits"}""",
        ),
        ([{"weight": 2.0}], """got {'weight': 2.0} in it: name it under "loss\""""),
        ("logits", "got 'logits': write [] for none, and put a single one in a list"),
        ({"loss": "logits"}, "got a dict: write [] for none"),
        (None, "got None: write [] for none"),
        (iter(LOGITS), "got a list_iterator: write [] for none"),
    ],
)
def test_losses_that_are_no_list_of_dictionaries_are_told(teacher, verb, losses, sentence):
    with told(sentence):
        verb(teacher, losses=losses)


@pytest.mark.parametrize("seed", [2**70, 2**63, -1, "x", True, None, 1.5])
def test_a_seed_that_a_project_would_refuse_is_told(teacher, seed):
    for verb in (search, distill):
        with told(f"seed - wanted a whole number from 0 to 2^63 - 1 - got {seed!r}"):
            verb(teacher, seed=seed)


@pytest.mark.parametrize("seed", [0, 2**63 - 1, numpy.int64(3)])
def test_each_seed_of_a_project_is_taken(teacher, seed):
    assert search(teacher, seed=seed).architecture


@pytest.mark.parametrize("name", ["model", "build", "train", "valid", "loss", "score", "apply", "shown", "higher_is_better"])
@pytest.mark.parametrize("wrong", [3, None, stillhouse.Teacher])
def test_a_teacher_of_a_wrong_kind_is_told_by_the_name_of_its_argument(teacher, name, wrong):
    with told(f"teacher.{name} - wanted "):
        replace(teacher, **{name: wrong})


def test_a_teacher_is_told_where_it_lacks_something(teacher):
    for name, wrong, sentence in (
        ("model", Plain(lazy=True), "got first.weight of a lazy layer"),
        ("model", Bare(), "wanted a network with weights"),
        ("loss", lambda output: output, "teacher.loss - wanted a function loss(output, batch) - too many positional arguments"),
        ("train", "rows", "teacher.train - wanted a DataLoader or a list of batches - got 'rows'"),
        ("valid", {"x": ROWS}, "teacher.valid - wanted a DataLoader or a list of batches - got a dict"),
    ):
        with told(sentence):
            replace(teacher, **{name: wrong})
    with told("wanted a network with weights"):
        search(replace(teacher, build=lambda architecture: Bare()))


@pytest.mark.parametrize("wrong", [3, None, stillhouse.Teacher, Plain()])
def test_what_is_no_teacher_and_no_student_is_told(teacher, wrong):
    with told("search: teacher - wanted a stillhouse.Teacher - got"):
        search(wrong)
    with told("distill: teacher - wanted a stillhouse.Teacher - got"):
        stillhouse.distill(wrong, search(teacher), fit=FIT)
    with told("distill: found - wanted a stillhouse.Student - got"):
        stillhouse.distill(teacher, wrong, fit=FIT)
    with told("distill: found - wanted a student of this teacher"):
        stillhouse.distill(teacher, replace(search(teacher), model=Plain()), fit=FIT)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"only": None}, "search: only - wanted a list of patterns of names of groups - got None"),
        ({"keep": "hid*"}, "search: keep - wanted a list of patterns of names of groups - got 'hid*': write ['hid*']"),
        ({"only": [3]}, "search: only - wanted a list of patterns"),
        ({"log": 3}, "search: log - wanted a function of a record, such as print, or None - got 3"),
        ({"log": Plain}, "got the class Plain"),
        ({"share": None, "budget": 3}, "search: budget - "),
    ],
)
def test_an_argument_of_a_search_of_a_wrong_kind_is_told_by_its_name(teacher, changes, sentence):
    with told(sentence):
        search(teacher, **changes)


def test_a_function_that_does_not_say_what_it_takes_is_taken(teacher):
    records = deque()
    assert replace(teacher, score=dict).score is dict
    distill(teacher, log=records.append)
    assert records


def test_a_dictionary_wants_a_function_that_says_how_a_model_meets_it(teacher):
    batches = [{"rows": rows, "label": label} for rows, label in BATCHES]
    named = replace(teacher, train=batches, valid=batches, loss=lambda output, batch: loss(output, (None, batch["label"])))
    with told("refuses a dict (TypeError: linear(): argument 'input' (position 1) must be Tensor, not dict): give apply="):
        search(named, **TRAINED)
    mended = replace(
        named,
        apply=lambda model, batch: model(batch["rows"]),
        score=lambda outputs: score([(output, (None, batch["label"])) for output, batch in outputs]),
    )
    assert search(mended, **TRAINED).metrics["found_accuracy"] >= 0


def test_whole_numbers_are_no_prediction(teacher):
    def own(model, batch):
        output = stillhouse.Output(model(batch[0]), "classes")
        object.__setattr__(output, "prediction", output.prediction.argmax(-1))  # the tests themselves look at what is given to Output
        return output

    for apply in (own, lambda model, batch: model(batch[0]).argmax(-1)):
        with told("teacher.apply - wanted a prediction of numbers with a fraction - got torch.int64 of shape (10,): give logits"):
            search(replace(teacher, apply=apply), **TRAINED)


def test_a_batch_without_rows_is_told_by_its_split_and_number(teacher):
    sentence = "wanted a row at least - got tensors of shape (0, 2), (0,): leave such batches out"
    for changes, where in (({"train": EMPTY + BATCHES}, "train, batch 0"), ({"valid": BATCHES + EMPTY}, "valid, batch 2")):
        for verb, asked in ((search, TRAINED), (distill, {})):
            with told(f"teacher.{where} - {sentence}"):
                verb(replace(teacher, **changes), **asked)


def test_a_batch_that_only_its_prediction_shows_to_be_empty_is_told(teacher):
    """Beside the rows that are none there is something that is not empty."""
    with told("teacher.loss - wanted a row at least of each batch - got a prediction of shape (0, 3): leave empty batches out"):
        distill(replace(teacher, train=[(*EMPTY[0], torch.ones(1))]))


def test_a_loader_that_gives_nothing_though_it_has_a_length_is_told():
    class Nothing(list):
        def __iter__(self):
            return iter(())

    with told("train - wanted a batch at least in each pass - this one has none"):
        next(one_pass(Nothing([1]), torch.Generator(), "train"))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_builder_finds_and_gives_the_same_whatever_the_mode_is(mode):
    wanted = stillhouse.groups_of(stillhouse.builder(Plain, (ROWS,))())
    with mode():
        model = stillhouse.builder(Plain, (ROWS.clone(),))()
    assert stillhouse.groups_of(model) == wanted
    assert all(weight.requires_grad and not weight.is_inference() for weight in model.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_all_is_found_and_trained_whatever_the_mode_is(teacher, mode):
    def made():
        torch.manual_seed(0)
        plain = replace(
            teacher, model=Plain(), build=stillhouse.builder(Plain, (ROWS.clone(),)), train=[(x.clone(), y) for x, y in BATCHES]
        )
        return stillhouse.distill(plain, stillhouse.search(plain, share=0.5, **TRAINED), losses=LOGITS, fit=FIT)

    wanted = made()
    with mode():
        student = made()
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert not torch.is_grad_enabled()
    assert student.architecture == wanted.architecture
    torch.testing.assert_close(student.model.state_dict(), wanted.model.state_dict(), rtol=0, atol=0)
    assert all(weight.requires_grad and not weight.is_inference() for weight in student.model.parameters())
