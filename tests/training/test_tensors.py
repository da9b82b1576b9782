"""Weights that layers share: written once, and there again under every name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.space.blueprint import groups_of
from stillhouse.space.extraction import extract
from stillhouse.space.trace import builder
from stillhouse.training import tensors
from tests.space.cutting import random_architecture


class Tied(nn.Module):
    """A language model's first and last layer are one matrix, and one of its layers is asked twice."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(4, 4)
        self.words, self.layers, self.last = nn.Embedding(9, 4), nn.ModuleList([layer, layer]), nn.Linear(4, 9, bias=False)
        self.last.weight = self.words.weight

    def forward(self, value: Tensor) -> Tensor:
        value = self.words(value)
        for layer in self.layers:
            value = layer(value)
        return self.last(value)


def test_each_tensor_is_written_once_and_tied_again(tmp_path: Path) -> None:
    model, other = Tied(), Tied()
    tensors.write(tmp_path / "a.safetensors", model.state_dict())
    assert load_file(tmp_path / "a.safetensors").keys() == {"words.weight", "layers.0.weight", "layers.0.bias"}
    read = tensors.read(tmp_path / "a.safetensors")
    assert read.keys() == model.state_dict().keys()
    other.load_state_dict(read)
    assert other.last.weight is other.words.weight
    words = torch.arange(9)
    assert torch.equal(other(words), model(words))


def test_parts_of_one_memory_are_written_each_by_itself(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"whole": whole, "row": whole[1], "turned": whole.T, "none": torch.zeros(0), "other none": torch.zeros(0)}
    tensors.write(tmp_path / "a.safetensors", state)
    read = tensors.read(tmp_path / "a.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())
    assert read.keys() == state.keys()


@pytest.mark.parametrize("shared", [json.dumps({"b": "gone"}), json.dumps({"b": 1}), "[]", "{", "[" * 100000])
def test_a_header_that_names_what_is_not_there_is_refused(shared: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata={"stillhouse.shared": shared})
    with pytest.raises(UserError, match=r"a.safetensors - wanted"):
        tensors.read(tmp_path / "a.safetensors")


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    model = Tied()
    for name in "ab":
        tensors.write(tmp_path / name, model.state_dict())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_smaller_network_is_tied_as_the_large_one_is(tmp_path: Path) -> None:
    words = torch.arange(9)
    build = builder(Tied, (words,))
    large = build(None).eval()
    architecture = random_architecture(groups_of(large), torch.Generator().manual_seed(1))
    first, second = build(architecture).eval(), build(architecture).eval()
    assert first.words.weight.shape[1] < 4
    first.load_state_dict(extract(large, architecture))
    tensors.write(tmp_path / "a.safetensors", first.state_dict())
    assert len(load_file(tmp_path / "a.safetensors")) == 3
    second.load_state_dict(tensors.read(tmp_path / "a.safetensors"))
    assert second.last.weight is second.words.weight
    assert torch.equal(second(words), first(words))
