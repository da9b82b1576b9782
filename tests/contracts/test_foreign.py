"""What is refused of networks of somebody else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.contracts.output import IMAGE, Layout
from stillhouse.losses import pearson
from stillhouse.space.blueprint import groups_of
from stillhouse.space.extraction import extract
from tests.space.cutting import random_architecture

NAME = "tests.workloads.foreign:Classifier"
EXAMPLE = (torch.zeros(2, 1, 8, 8),)


def build(shape: tuple[int, ...] = (2, 10), architecture=None, **settings) -> nn.Module:
    chosen = ModuleSettings(**{"factory": NAME, **settings})
    return foreign.module(chosen, EXAMPLE, architecture, AsOutput("classes", chosen.prediction), shape)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"factory": "tests.nowhere:build"}, "wanted a module in the project's parts/ or an installed package"),
        ({"factory": "os:system", "arguments": {"command": "touch ran"}}, "wanted a class of networks, or a function annotated"),
        ({"factory": "subprocess:Popen", "arguments": {"args": ["touch", "ran"]}}, "wanted a class of networks, or a function annotated"),
        ({"factory": "tests.workloads.foreign:nothing"}, "nothing of that name"),
        ({"arguments": {"depth": 3}}, "wanted arguments that it takes - got an unexpected keyword argument 'depth'"),
        ({"arguments": {"classes": 3}}, "wanted a prediction of shape (2, 10) for (2, 1, 8, 8) numbers - got (2, 3)"),
        ({"prediction": "scores"}, "wanted a tensor under 'scores' returned - got dict"),
    ],
)
def test_what_makes_no_network_for_the_data_is_told(settings, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        build(**settings)
    assert told in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_each_network_is_a_fresh_one_and_the_seed_alone_says_which():
    torch.manual_seed(1)
    first, second = build(), build()
    torch.manual_seed(1)
    again = build()
    assert not torch.equal(first.first.weight, second.first.weight)
    assert torch.equal(first.first.weight, again.first.weight)


def test_a_smaller_one_takes_what_is_cut_out_of_the_full_one():
    full = build()
    architecture = random_architecture(groups_of(full), torch.Generator().manual_seed(0))
    static = build(architecture=architecture)
    static.load_state_dict(extract(full, architecture))
    assert static(*EXAMPLE).prediction.shape == (2, 10)
    assert full(*EXAMPLE).meaning == "classes"


def test_what_a_module_returns_is_a_feature_of_the_output_and_a_copys_own():
    full = build(features={"maps": "norm", "last": {"module": "last"}})
    other = copy.deepcopy(full)
    with torch.no_grad():
        other.first.weight.zero_()
    maps, zeros = (model.eval()(torch.ones(EXAMPLE[0].shape)).features["maps"] for model in (full, other))
    assert (maps.value.shape, maps.layout) == ((2, 6, 8, 8), IMAGE)
    assert torch.equal(maps.value, full.norm(full.first(torch.ones(EXAMPLE[0].shape))))
    assert not torch.equal(maps.value, zeros.value)
    assert full(*EXAMPLE).features["last"].layout == Layout(channel=1, positions=(), batch=0)
    architecture = random_architecture(groups_of(full), torch.Generator().manual_seed(0))
    smaller = build(architecture=architecture, features={"maps": "norm"})(*EXAMPLE).features["maps"]
    assert 0 < smaller.value.shape[1] < 6, "what may be dropped is not changed by being watched"


def test_losses_compare_the_features_of_networks_of_ones_own():
    teacher, features = build(features={"maps": "norm"}), {"maps": "norm"}
    student = build(architecture=random_architecture(groups_of(teacher), torch.Generator().manual_seed(0)), features=features)
    picture = torch.rand(EXAMPLE[0].shape, generator=torch.Generator().manual_seed(1))
    settings = pearson.LOSS.settings(pairs=("maps",))
    loss = pearson.LOSS.make(settings, student(picture), teacher(picture))
    loss(student(picture), teacher(picture)).backward()
    assert student.first.weight.grad.abs().sum() > 0
    assert teacher.first.weight.grad is None


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({"maps": "middle"}, "features: maps - wanted the name of a module of Classifier - there is no middle"),
        ({"maps": {"module": "last", "channel": 2}}, r"last - wanted a tensor with channels in axis 2 - got one of shape \(2, 10\)"),
    ],
)
def test_a_feature_that_cannot_be_is_told(features, told):
    with pytest.raises(UserError, match=told):
        build(features=features)(*EXAMPLE)
