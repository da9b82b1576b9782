"""Seeds and devices."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy
import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.training import machine


def draws(generator: torch.Generator) -> list[float]:
    return [random.random(), float(numpy.random.rand()), float(torch.rand(())), float(torch.rand((), generator=generator))]


def test_a_seed_fixes_every_generator():
    first, again, other = (draws(machine.seed(value)) for value in (2**40 + 1, 2**40 + 1, 2))
    assert first == again
    assert not set(first) & set(other)


def test_the_device_is_found_or_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("STILLHOUSE_DEVICE", raising=False)
    assert machine.device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cpu")
    assert machine.device() == torch.device("cpu")
    assert machine.device_name() == "cpu"
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:99")
    with pytest.raises(UserError, match="this process sees"):
        machine.device()


def test_threads_are_those_of_torch():
    before = torch.get_num_threads()
    machine.use_threads(before + 1)
    assert torch.get_num_threads() == before + 1
    machine.use_threads(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_has_a_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:0")
    assert machine.device_name() == f"cuda:0 {torch.cuda.get_device_name(0)}"


def test_a_batch_of_any_make_is_moved():
    device = torch.device("cpu")
    moved = machine.move({"pair": (torch.ones(2), [torch.zeros(1)]), "name": "x"}, device)
    assert moved["pair"][0].device == device
    assert isinstance(moved["pair"], tuple)
    assert moved["name"] == "x"


@pytest.mark.parametrize("sizes", [(2**60,), (2**62, 2**62), (10**9, 10**9)])
def test_memory_that_does_not_suffice_is_one_sentence(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cpu")
    sentence = r"^the memory of cpu does not suffice.*: lower the batch sizes, or the widths of the model$"
    with pytest.raises(UserError, match=sentence), machine.telling_memory():
        torch.empty(sizes)


def test_another_error_is_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="mat1 and mat2"), machine.telling_memory():
        torch.ones(2, 3) @ torch.ones(2, 3)


class Pair(NamedTuple):
    """A batch as some data sets give it."""

    image: torch.Tensor
    label: list[torch.Tensor]


@dataclass(frozen=True)
class Nest:
    """A batch in a batch."""

    pair: Pair
    name: str = "x"


def test_a_batch_keeps_its_types_and_all_of_it_is_moved():
    moved = machine.move({"nest": Nest(Pair(torch.ones(2), [torch.zeros(1)]))}, torch.device("meta"))["nest"]
    assert isinstance(moved, Nest)
    assert isinstance(moved.pair, Pair)
    assert (moved.pair.image.device.type, moved.pair.label[0].device.type, moved.name) == ("meta", "meta", "x")
