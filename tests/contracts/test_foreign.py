"""What is refused of networks of somebody else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.foreign import ModuleSettings
from stillhouse.space.blueprint import groups_of
from stillhouse.space.extraction import extract
from tests.space.cutting import random_architecture

NAME = "tests.workloads.foreign:Classifier"
EXAMPLE = (torch.zeros(2, 1, 8, 8),)


def build(shape: tuple[int, ...] = (2, 10), architecture=None, **settings) -> nn.Module:
    return foreign.module(ModuleSettings(**{"factory": NAME, **settings}), EXAMPLE, architecture, "classes", shape)


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
